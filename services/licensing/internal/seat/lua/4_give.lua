-- transfer: seat, account that gets it, actor, address. It is kept for them. 'kept' and until when; 'gone'; 'closed'.
local function transfer(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = redis.call('HGET', keys[INDEX], 't:' .. args[1])
  local r = slot and record(keys, slot)
  if not r or not counts(r[MODE]) then return {'gone'} end
  local ticket = 'a:' .. redis.sha1hex(args[2] .. '\n' .. r[PRODUCT])
  local till = t + HANDED
  redis.call('HSET', keys[TICKETS], ticket, cmsgpack.pack({args[2], r[AT][1][COMPANY], r[PRODUCT], t, till, 1}))
  redis.call('ZADD', keys[LINE], 0, ticket)
  finish(keys, p, slot, r, 'transferred', args[3], args[4], t)
  look_at(keys, p, till)
  return {'kept', whole(till)}
end

-- How many places in line an account has, with all its devices.
local function tickets_of(keys, account)
  local count = 0
  for _, packed in ipairs(redis.call('HVALS', keys[TICKETS])) do
    if cmsgpack.unpack(packed)[T_ACCOUNT] == account then count = count + 1 end
  end
  return count
end

-- wait: account, company, product, device, limit, limit in the company, limit of the product, whether people are counted.
-- 'waiting', the place in line, in how long the next lease ends; 'offered' and until when; 'held' when one is held;
-- 'crowded'; 'closed'; 'recovering' and for how long.
local function wait(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  if p.recovering then return {'recovering', whole(p.till - t)} end
  note_limits(keys, p, args[5], args[6], args[3], args[7])
  evict(keys, p, t)
  local me = holder(args[1], args[3], args[4], args[8], 'pool')
  local slot = redis.call('HGET', keys[INDEX], 'h:' .. me)
  if slot and works_in(record(keys, slot), args[2]) then return {'held'} end
  local _, handed = kept_for(keys, args[1], args[3], '')
  if handed then return {'offered', whole(handed[T_OFFERED])} end
  local packed = redis.call('HGET', keys[TICKETS], me)
  local w = packed and cmsgpack.unpack(packed)
  if not w then
    if redis.call('ZCARD', keys[LINE]) >= WAITING then return {'crowded', WAITING} end
    if tickets_of(keys, args[1]) >= TICKETS_EACH then return {'crowded', TICKETS_EACH} end
    w = {args[1], args[2], args[3], t, 0, 0}
    redis.call('ZADD', keys[LINE], redis.call('HINCRBY', keys[POOL], 'ticket', 1), me)
    changed(keys)
  end
  w[T_SEEN] = t
  redis.call('HSET', keys[TICKETS], me, cmsgpack.pack(w))
  advance(keys, p, t)
  w = cmsgpack.unpack(redis.call('HGET', keys[TICKETS], me))
  if w[T_OFFERED] > 0 then return {'offered', whole(w[T_OFFERED])} end
  local place = 1
  for _, ticket in ipairs(redis.call('ZRANGE', keys[LINE], 0, -1)) do
    if ticket == me then break end
    if cmsgpack.unpack(redis.call('HGET', keys[TICKETS], ticket))[T_OFFERED] == 0 then place = place + 1 end
  end
  local free = frees(keys, p, 'full', '', '', 1, p.lease, t)
  return {'waiting', whole(place), free}
end

-- ask: seat, id of the plea, account, text. 'told'; 'gone'; 'closed'.
local function ask(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = redis.call('HGET', keys[INDEX], 't:' .. args[1])
  local r = slot and record(keys, slot)
  if not r then return {'gone'} end
  for i = #r[PLEAS], 1, -1 do
    if r[PLEAS][i][2] == args[3] or r[PLEAS][i][4] + PLEA <= t then table.remove(r[PLEAS], i) end
  end
  if #r[PLEAS] >= 10 then table.remove(r[PLEAS], 1) end
  r[PLEAS][#r[PLEAS] + 1] = {args[2], args[3], args[4], t}
  save(keys, p, slot, r)
  tell(keys, 'changed ' .. r[SEAT])
  return {'told'}
end

-- take: seat, actor, address, grace. 'taken', and when at the latest; 'gone'; 'closed'; 'recovering' and for how long when
-- the pool can't tell.
local function take(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = redis.call('HGET', keys[INDEX], 't:' .. args[1])
  if not slot then
    if p.recovering then return {'recovering', whole(p.till - t)} end
    return {'gone'}
  end
  local r = record(keys, slot)
  local due = t + tonumber(args[4])
  if r[TAKING] > 0 then due = math.min(due, r[TAKING]) end
  if due <= t then
    finish(keys, p, slot, r, 'taken', args[2], args[3], t)
    return {'taken', whole(t)}
  end
  r[TAKING], r[TAKER] = due, args[2]
  save(keys, p, slot, r)
  changed(keys)
  tell(keys, 'changed ' .. r[SEAT])
  return {'taken', whole(due)}
end

-- oust: account, company, product, actor, address. Ends the guests' seats of an account. 'taken' or 'closed'.
local function oust(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  for _, slot in ipairs(redis.call('ZRANGE', keys[ENDS], 0, -1)) do
    local r = record(keys, slot)
    if r[MODE] == 'guest' and r[ACCOUNT] == args[1] and r[PRODUCT] == args[3] and works_in(r, args[2]) then
      finish(keys, p, slot, r, 'taken', args[4], args[5], t)
    end
  end
  return {'taken'}
end

-- travel: seats that are out as the database has them: seat, account, company, product, device, title, slot, end each.
-- They hold their slots until then. 'out'; 'closed'.
local function travel(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  send_out(keys, p, args, 1, t)
  return {'out'}
end
