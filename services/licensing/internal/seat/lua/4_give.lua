-- transfer: seat, account that gets it, actor, address, company, device, generation. It is kept for them. 'kept' and until
-- when; 'gone' when it is held no longer, or was claimed anew since; 'closed'.
local function transfer(c, args)
  local slot, r = find(c, args[1])
  local place = r and place_in(r, args[5], args[6])
  if not place or place[GRANT] > tonumber(args[7]) or not counts(r[MODE]) then return {'gone'} end
  local ticket = 'a:' .. redis.sha1hex(args[2] .. '\n' .. r[PRODUCT])
  local till = c.t + HANDED
  save_ticket(c, ticket, {args[2], r[AT][1][COMPANY], r[PRODUCT], c.t, till, 1})
  queue(c, ticket, true)
  finish(c, slot, r, 'transferred', args[3], args[4])
  look_at(c, till)
  return {'kept', whole(till)}
end

-- How many places in line an account has, with all its devices.
local function tickets_of(c, account)
  local count = 0
  local _, tickets = line(c)
  for _, w in pairs(tickets) do
    if w[T_ACCOUNT] == account then count = count + 1 end
  end
  return count
end

-- wait: account, company, product, device, limit, limit in the company, limit of the product, whether people are counted.
-- 'waiting', the place in line, in how long the next lease ends; 'offered' and until when; 'held' when one is held;
-- 'crowded'; 'closed'; 'recovering' and for how long.
local function wait(c, args)
  if c.recovering then return {'recovering', whole(c.pool.till - c.t)} end
  note_limits(c, tonumber(args[5]), tonumber(args[6]), args[3], tonumber(args[7]))
  evict(c)
  local me = holder(args[1], args[3], args[4], args[8], 'pool')
  local slot = field(c, 'h:' .. me)
  if slot and works_in(record(c, slot), args[2]) then return {'held'} end
  local _, handed = kept_for(c, args[1], args[3], '')
  if handed then return {'offered', whole(handed[T_OFFERED])} end
  local w = ticket_of(c, me)
  if not w then
    if c.pool.line >= WAITING then return {'crowded', WAITING} end
    if tickets_of(c, args[1]) >= TICKETS_EACH then return {'crowded', TICKETS_EACH} end
    w = {args[1], args[2], args[3], c.t, 0, 0}
    queue(c, me)
    changed(c)
  end
  w[T_SEEN] = c.t
  save_ticket(c, me, w)
  advance(c)
  w = ticket_of(c, me)
  if w[T_OFFERED] > 0 then return {'offered', whole(w[T_OFFERED])} end
  local place = 1
  local names, tickets = line(c)
  for _, ticket in ipairs(names) do
    if ticket == me then break end
    if tickets[ticket][T_OFFERED] == 0 then place = place + 1 end
  end
  local free = frees(c, 'full', '', '', 1, c.pool.lease)
  return {'waiting', whole(place), free}
end

-- ask: seat, id of the plea, account, text. 'told'; 'gone'; 'closed'.
local function ask(c, args)
  local slot, r = find(c, args[1])
  if not r then return {'gone'} end
  for i = #r[PLEAS], 1, -1 do
    if r[PLEAS][i][2] == args[3] or r[PLEAS][i][4] + PLEA <= c.t then table.remove(r[PLEAS], i) end
  end
  if #r[PLEAS] >= 10 then table.remove(r[PLEAS], 1) end
  r[PLEAS][#r[PLEAS] + 1] = {args[2], args[3], args[4], c.t}
  save(c, slot, r)
  tell(c, 'changed ' .. r[SEAT])
  return {'told'}
end

-- take: seat, actor, address, grace. 'taken', and when at the latest; 'gone'; 'closed'; 'recovering' and for how long when
-- the pool can't tell.
local function take(c, args)
  local slot, r = find(c, args[1])
  if not r then
    if c.recovering then return {'recovering', whole(c.pool.till - c.t)} end
    return {'gone'}
  end
  local due = c.t + tonumber(args[4])
  if r[TAKING] > 0 then due = math.min(due, r[TAKING]) end
  if due <= c.t then
    finish(c, slot, r, 'taken', args[2], args[3])
    return {'taken', whole(c.t)}
  end
  r[TAKING], r[TAKER] = due, args[2]
  save(c, slot, r)
  changed(c)
  tell(c, 'changed ' .. r[SEAT])
  return {'taken', whole(due)}
end

-- oust: account, company, product, actor, address. Ends the guests' seats of an account. 'taken' or 'closed'.
local function oust(c, args)
  flush(c)
  for _, slot in ipairs(redis.call('ZRANGE', c.keys[ENDS], 0, -1)) do
    local r = record(c, slot)
    if r[MODE] == 'guest' and r[ACCOUNT] == args[1] and r[PRODUCT] == args[3] and works_in(r, args[2]) then
      finish(c, slot, r, 'taken', args[4], args[5])
    end
  end
  return {'taken'}
end

-- travel: seat, end. A seat that was claimed to go out is out until then, as the database has it. 'out'; 'gone' when it is
-- held no longer: it may be another's; 'closed'.
local function travel(c, args)
  local slot, r = find(c, args[1])
  if not r then return {'gone'} end
  r[CAP], r[AT][1][UNTIL] = tonumber(args[2]), tonumber(args[2])
  save(c, slot, r)
  return {'out'}
end
