--[[ renew: keep a worker's leases; answer which jobs it has lost and which it must stop. A lease that ran out but was not taken is kept.
  KEYS     1 prefix of the key space
  ARGV     1 worker   2 lease (ms)   3.. id and epoch for each job
  RETURNS  {{lost ids}, {ids to stop}, version of the settings}
  CODES    none   EVENTS none ]]
-- include: base, clock, evenAtMaxmemory, heard
local worker, lease = ARGV[1], tonumber(ARGV[2])

evenAtMaxmemory()
local now = math.floor(clock() / 1000)
local lost, stop = {}, {}
redis.call('ZADD', P .. 'workers', now, worker)
heard(now, lease)
for i = 3, #ARGV, 2 do
  local id, epoch = ARGV[i], ARGV[i + 1]
  local job = redis.call('HMGET', P .. 'job:' .. id, 'state', 'epoch', 'stop')
  if job[1] == 'active' and job[2] == epoch then
    redis.call('ZADD', P .. 'leases', now + lease, id)
    if job[3] then stop[#stop + 1] = id end
  else
    lost[#lost + 1] = id
  end
end
return {lost, stop, redis.call('HGET', P .. 'settings', 'version') or '0'}
