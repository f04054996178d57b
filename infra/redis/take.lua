-- One call against one bucket: the arithmetic of infra/ratelimit.Rate.Take.
-- A bucket is the time, in microseconds by this server's clock, at which nothing
-- of the quota is missing any more. The numbers are whole and below 2^53.
local interval, quota, need, use, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full = tonumber(redis.call('GET', KEYS[1]) or now)
local behind = math.min(math.max(full - now, 0), interval * most)
if behind + need * interval > quota * interval then
  return {0, behind}
end
behind = behind + use * interval
redis.call('SET', KEYS[1], string.format('%.0f', now + behind), 'PX', math.ceil(behind / 1000))
return {1, behind}
