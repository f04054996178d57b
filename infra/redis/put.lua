-- Keeps ARGV[2], of the version ARGV[1], under KEYS[1] for ARGV[3] milliseconds,
-- unless it is empty; whoever waits for it need not wait any more.
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'value', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return redis.call('DEL', KEYS[2])
