-- A ticket: who waits, or for whom a seat is kept (OFFERED is until when, HANDED_OVER whether by a colleague).
local T_ACCOUNT, T_COMPANY, T_PRODUCT, T_SEEN, T_OFFERED, T_HANDED = 1, 2, 3, 4, 5, 6

local function drop_ticket(keys, ticket)
  redis.call('ZREM', keys[LINE], ticket)
  redis.call('HDEL', keys[TICKETS], ticket)
end

-- Moves the line on: who went away loses the place, and seats that are free are offered to who is first and may take one.
-- Answers what is kept for others: in all, by company, and by product.
local function advance(keys, p, t)
  local kept = {all = 0, company = {}, product = {}}
  local line = redis.call('ZRANGE', keys[LINE], 0, -1)
  if #line == 0 then return kept, 0 end
  local limit, company_limit = string.match(p.limits or '', '^(%d+) (%d+)$')
  limit, company_limit = tonumber(limit or 0), tonumber(company_limit or 0)
  local function keep(w, by)
    kept.all = kept.all + by
    kept.company[w[T_COMPANY]] = (kept.company[w[T_COMPANY]] or 0) + by
    kept.product[w[T_PRODUCT]] = (kept.product[w[T_PRODUCT]] or 0) + by
  end
  local waiting = {}
  for _, ticket in ipairs(line) do
    local w = cmsgpack.unpack(redis.call('HGET', keys[TICKETS], ticket))
    if w[T_OFFERED] > 0 and w[T_OFFERED] <= t or w[T_OFFERED] == 0 and w[T_SEEN] + AWAY <= t then
      drop_ticket(keys, ticket)
    elseif w[T_OFFERED] > 0 then
      keep(w, 1)
    else
      waiting[#waiting + 1] = {ticket, w}
    end
  end
  for _, one in ipairs(waiting) do
    local ticket, w = one[1], one[2]
    local product_limit = tonumber(redis.call('HGET', keys[POOL], 'limit:' .. w[T_PRODUCT]) or '0')
    if not p.recovering and p.used + kept.all < limit
      and held_in(keys, 'c:' .. w[T_COMPANY]) + (kept.company[w[T_COMPANY]] or 0) < company_limit
      and (product_limit == 0 or held_in(keys, 'p:' .. w[T_PRODUCT]) + (kept.product[w[T_PRODUCT]] or 0) < product_limit) then
      w[T_OFFERED] = t + OFFER
      redis.call('HSET', keys[TICKETS], ticket, cmsgpack.pack(w))
      look_at(keys, p, w[T_OFFERED])
      keep(w, 1)
    end
  end
  return kept, #line
end

-- The ticket by which a seat is kept for somebody, if one is.
local function kept_for(keys, account, product, mine)
  for _, ticket in ipairs({mine, 'a:' .. redis.sha1hex(account .. '\n' .. product)}) do
    local packed = redis.call('HGET', keys[TICKETS], ticket)
    local w = packed and cmsgpack.unpack(packed)
    if w and w[T_OFFERED] > 0 then return ticket, w end
  end
end

-- Notes the limits that hold now: the line moves on by them.
local function note_limits(keys, p, limit, company_limit, product, product_limit)
  local limits = limit .. ' ' .. company_limit
  if p.limits ~= limits then
    redis.call('HSET', keys[POOL], 'limits', limits)
    p.limits = limits
  end
  if product_limit ~= '0' then redis.call('HSET', keys[POOL], 'limit:' .. product, product_limit) end
end

-- What stands in the way of one more seat that counts: 'full', 'company' or 'product', with the limit.
local function in_the_way(keys, p, kept, company, product, limit, company_limit, product_limit)
  if p.used + kept.all >= limit then return 'full', limit end
  if held_in(keys, 'c:' .. company) + (kept.company[company] or 0) >= company_limit then return 'company', company_limit end
  if product_limit > 0 and held_in(keys, 'p:' .. product) + (kept.product[product] or 0) >= product_limit then
    return 'product', product_limit
  end
end

local function matching(why, company, product)
  return function(r)
    if not counts(r[MODE]) then return false end
    if why == 'company' then return works_in(r, company) end
    return why ~= 'product' or r[PRODUCT] == product
  end
end

-- In how long a seat surely is free that somebody needs, with some of those who hold them.
local function frees(keys, p, why, company, product, most, lease, t)
  local list = holders(keys, matching(why, company, product), most)
  return whole(math.max(0, tonumber(list[1] and list[1][10] or t + lease) - t)), list
end
