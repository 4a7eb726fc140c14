-- lengthen: longest lease.
local function lengthen(keys, args)
  local p = open_pool(keys, now())
  if not p then return {'closed'} end
  redis.call('HSET', keys[POOL], 'longest', whole(math.max(p.longest, tonumber(args[1]))))
  return {'open'}
end

-- tidy: ends what has run out, and says when to look again. 'busy'; 'empty' and the recovery's number when nobody has
-- held a seat for a while; 'closed'.
local function tidy(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then
    redis.call('ZREM', keys[DUE], args[1])
    return {'closed'}
  end
  evict(keys, p, t)
  local _, waiting = advance(keys, p, t)
  local first = redis.call('ZRANGE', keys[ENDS], 0, 0, 'WITHSCORES')
  local emptied = tonumber(redis.call('HGET', keys[POOL], 'emptied'))
  if p.recovering then
    redis.call('ZADD', keys[DUE], whole(p.till), p.licence)
  elseif waiting > 0 then
    redis.call('ZADD', keys[DUE], whole(math.min(tonumber(first[2] or t + 1000), t + 1000)), p.licence)
  elseif first[2] then
    redis.call('ZADD', keys[DUE], whole(tonumber(first[2])), p.licence)
  else
    redis.call('ZADD', keys[DUE], whole(math.max(emptied + REST, t + 1000)), p.licence)
    if emptied + REST <= t then return {'empty', redis.call('HGET', keys[POOL], 'recovery')} end
  end
  return {'busy'}
end

-- rest: recovery. Closes a pool that nobody holds a seat of. 'resting' or 'busy'.
local function rest(keys, args)
  local p = open_pool(keys, now())
  if not p or p.recovering or redis.call('ZCARD', keys[ENDS]) > 0 or redis.call('ZCARD', keys[LINE]) > 0
    or redis.call('HGET', keys[POOL], 'recovery') ~= args[1] then
    return {'busy'}
  end
  redis.call('DEL', keys[POOL], keys[HELD], keys[ENDS], keys[INDEX], keys[FREE], keys[LINE], keys[TICKETS])
  redis.call('ZREM', keys[DUE], p.licence)
  return {'resting'}
end

-- Which state the board is in: it changes with every claim and end.
local function version(keys)
  local v = redis.call('HMGET', keys[POOL], 'recovery', 'version')
  return (v[1] or '') .. '.' .. (v[2] or '')
end

-- list: how many at the most, and the version that is known. 'open', the version, the seats by end of lease, how many
-- count, and how many wait; without seats when the version is known; 'closed'.
local function list(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local seats, v = {}, version(keys)
  if v ~= args[2] then
    for _, seat in ipairs(holders(keys, function() return true end, tonumber(args[1]))) do
      if p.recovering or tonumber(seat[10]) > t then seats[#seats + 1] = seat end
    end
  end
  return {'open', v, seats, whole(p.used), whole(redis.call('ZCARD', keys[LINE]))}
end

-- see: seats. 'open', and for each the seat as `shown`, '' when it is not held; 'closed'.
local function see(keys, args)
  local p = open_pool(keys, now())
  if not p then return {'closed'} end
  local seen = {}
  for i, seat in ipairs(args) do
    local slot = redis.call('HGET', keys[INDEX], 't:' .. seat)
    local r = slot and record(keys, slot)
    seen[i] = r and shown(slot, r, r[AT][1]) or {}
  end
  return {p.recovering and 'recovering' or 'open', seen}
end

-- states: seats. 'open' or 'recovering', and for each seat the end of its lease, '' when it is not held; 'closed'.
local function states(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local ends = {}
  for i, seat in ipairs(args) do
    local slot = redis.call('HGET', keys[INDEX], 't:' .. seat)
    local till = slot and tonumber(redis.call('ZSCORE', keys[ENDS], slot))
    ends[i] = till and till > t and whole(till) or ''
  end
  return {p.recovering and 'recovering' or 'open', ends}
end

redis.register_function('kontor_seats_2_open', open)
redis.register_function('kontor_seats_2_claim', claim)
redis.register_function('kontor_seats_2_renew', renew)
redis.register_function('kontor_seats_2_enter', enter)
redis.register_function('kontor_seats_2_release', release)
redis.register_function('kontor_seats_2_transfer', transfer)
redis.register_function('kontor_seats_2_wait', wait)
redis.register_function('kontor_seats_2_ask', ask)
redis.register_function('kontor_seats_2_take', take)
redis.register_function('kontor_seats_2_oust', oust)
redis.register_function('kontor_seats_2_travel', travel)
redis.register_function('kontor_seats_2_lengthen', lengthen)
redis.register_function('kontor_seats_2_tidy', tidy)
redis.register_function('kontor_seats_2_rest', rest)
redis.register_function{function_name = 'kontor_seats_2_list', callback = list, flags = {'no-writes'}}
redis.register_function{function_name = 'kontor_seats_2_see', callback = see, flags = {'no-writes'}}
redis.register_function{function_name = 'kontor_seats_2_states', callback = states, flags = {'no-writes'}}
