-- lengthen: longest lease.
local function lengthen(c, args)
  c.pool.longest = math.max(c.pool.longest, tonumber(args[1]))
  return {'open'}
end

-- tidy: licence. Ends what has run out, and says when to look again. 'busy'; 'empty' and the recovery's number when nobody has
-- held a seat for a while; 'closed'.
local function tidy(c, args)
  if not c.pool then
    redis.call('ZREM', c.keys[DUE], args[1])
    return {'closed'}
  end
  evict(c)
  advance(c)
  flush(c)
  local first = redis.call('ZRANGE', c.keys[ENDS], 0, 0, 'WITHSCORES')[2]
  local again = c.pool.emptied + REST
  if c.recovering then
    again = c.pool.till
  elseif c.pool.line > 0 then
    again = math.min(tonumber(first or c.t + 1000), c.t + 1000)
  elseif first then
    again = tonumber(first)
  end
  redis.call('ZADD', c.keys[DUE], whole(math.max(again, c.t + 1)), c.pool.licence)
  if c.recovering or c.pool.line > 0 or first or again > c.t then return {'busy'} end
  redis.call('ZADD', c.keys[DUE], whole(c.t + 1000), c.pool.licence)
  return {'empty', c.pool.recovery}
end

-- rest: recovery. Closes a pool that nobody holds a seat of. 'resting' or 'busy'.
local function rest(c, args)
  if c.recovering or c.pool.live > 0 or c.pool.line > 0 or c.pool.recovery ~= args[1] then return {'busy'} end
  if #c.entries > 0 then write(c, '*', c.entries) end
  empty(c)
  redis.call('ZREM', c.keys[DUE], c.pool.licence)
  c.pool, c.entries, c.look = nil, {}, nil
  return {'resting'}
end

-- list: how many at the most, and the version that is known. 'open', the version, the seats by end of lease, how many
-- count, and how many wait; without seats when the version is known; 'closed'.
local function list(c, args)
  local seats, version = {}, c.pool.recovery .. '.' .. whole(c.pool.version)
  if version ~= args[2] then
    seats = holders(c, function(r) return c.recovering or ends_of(r) > c.t end, tonumber(args[1]))
  end
  return {'open', version, seats, whole(c.pool.used), whole(c.pool.line)}
end

-- see: seats. 'open' or 'recovering', and for each the seat, empty when it is not held; 'closed'.
local function see(c, args)
  local seen = {}
  for i, seat in ipairs(args) do
    local slot = redis.call('HGET', c.keys[INDEX], 't:' .. seat)
    local packed = slot and redis.call('HGET', c.keys[HELD], slot)
    seen[i] = packed and {slot, packed} or {}
  end
  return {c.recovering and 'recovering' or 'open', seen}
end

-- states: seats. 'open' or 'recovering', and for each seat the end of its lease, '' when it is not held; 'closed'.
local function states(c, args)
  local ends = {}
  for i, seat in ipairs(args) do
    local slot = redis.call('HGET', c.keys[INDEX], 't:' .. seat)
    local till = slot and tonumber(redis.call('ZSCORE', c.keys[ENDS], slot))
    ends[i] = till and till > c.t and whole(till) or ''
  end
  return {c.recovering and 'recovering' or 'open', ends}
end

local changes = {
  open = open, claim = claim, renew = renew, enter = enter, release = release, transfer = transfer, wait = wait, ask = ask,
  take = take, oust = oust, travel = travel, lengthen = lengthen, tidy = tidy, rest = rest,
}
local looks = {list = list, see = see, states = states}

-- One call of a function of a turn.
local function call(c, f, name, args)
  if not c.pool and name ~= 'open' and name ~= 'tidy' then return {'closed'} end
  local ok, answer = pcall(f, c, args)
  if ok then return answer end
  return {'failed', type(answer) == 'table' and answer.err or tostring(answer)}
end

-- change: any number of calls, each its name, how many arguments it has, and these. The answers to each, and the lists of
-- holders that they refer to. What one of them fails with is its own: the others are carried out, and what it did until
-- then stands.
local function change(keys, args)
  local c, answers, i = begin(keys), {}, 1
  while i <= #args do
    local own = {}
    for n = 1, tonumber(args[i + 1]) do own[n] = args[i + 1 + n] end
    answers[#answers + 1] = call(c, changes[args[i]], args[i], own)
    i = i + 2 + #own
  end
  done(c)
  return {answers, c.shown}
end

-- look: one call that changes nothing: its name and its arguments. Its answer.
local function look(keys, args)
  local name = table.remove(args, 1)
  return call(begin(keys), looks[name], name, args)
end

-- same: whether this is the server run that a partition was marked on, and nothing was lost since. 'same' or 'other'.
local function same(keys) return {redis.call('GET', keys[1]) == server() and 'same' or 'other'} end

-- mark: 'begin' before the partition's pools are opened, 'end' after it: what is lost in between takes the mark along.
local function mark(keys, args)
  local begun = 'begun ' .. server()
  if args[1] == 'begin' then
    redis.call('SET', keys[1], begun)
  elseif redis.call('GET', keys[1]) == begun then
    redis.call('SET', keys[1], server())
  end
  return {'marked'}
end

redis.register_function('kontor_seats_3_change', change)
redis.register_function('kontor_seats_3_mark', mark)
redis.register_function{function_name = 'kontor_seats_3_look', callback = look, flags = {'no-writes'}}
redis.register_function{function_name = 'kontor_seats_3_same', callback = same, flags = {'no-writes'}}
