-- What is kept under KEYS[1] if it has the version ARGV[1]. Otherwise 1 if the
-- caller is to make it: for ARGV[2] milliseconds nobody else is told so.
local kept = redis.call('HMGET', KEYS[1], 'version', 'value')
if kept[1] == ARGV[1] then
  return kept[2]
end
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
