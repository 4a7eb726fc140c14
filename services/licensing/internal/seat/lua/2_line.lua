-- A ticket: who waits, or for whom a seat is kept (OFFERED is until when, HANDED_OVER whether by a colleague).
local T_ACCOUNT, T_COMPANY, T_PRODUCT, T_SEEN, T_OFFERED, T_HANDED = 1, 2, 3, 4, 5, 6

local function ticket_of(c, ticket)
  local packed = redis.call('HGET', c.keys[TICKETS], ticket)
  return packed and cmsgpack.unpack(packed)
end

local function save_ticket(c, ticket, w) redis.call('HSET', c.keys[TICKETS], ticket, cmsgpack.pack(w)) end

local function queue(c, number, ticket)
  c.pool.line = c.pool.line + redis.call('ZADD', c.keys[LINE], number, ticket)
end

local function drop_ticket(c, ticket)
  c.pool.line = c.pool.line - redis.call('ZREM', c.keys[LINE], ticket)
  redis.call('HDEL', c.keys[TICKETS], ticket)
end

-- What stands in the way of one more seat that counts: 'full', 'company' or 'product', with the limit. KEPT is what is
-- kept for others.
local function in_the_way(c, kept, company, product, limit, company_limit, product_limit)
  if c.pool.used + kept.all >= limit then return 'full', limit end
  if held_in(c, company) + (kept.company[company] or 0) >= company_limit then return 'company', company_limit end
  if product_limit > 0 and (c.pool.products[product] or 0) + (kept.product[product] or 0) >= product_limit then
    return 'product', product_limit
  end
end

local function keep(kept, w, by)
  kept.all = kept.all + by
  kept.company[w[T_COMPANY]] = (kept.company[w[T_COMPANY]] or 0) + by
  kept.product[w[T_PRODUCT]] = (kept.product[w[T_PRODUCT]] or 0) + by
end

-- Moves the line on: who went away loses the place, and seats that are free are offered to who is first and may take one.
-- Answers what is kept for others: in all, by company, and by product.
local function advance(c)
  local kept = {all = 0, company = {}, product = {}}
  if c.pool.line == 0 then return kept end
  local waiting = {}
  for _, ticket in ipairs(redis.call('ZRANGE', c.keys[LINE], 0, -1)) do
    local w = ticket_of(c, ticket)
    if w[T_OFFERED] > 0 and w[T_OFFERED] <= c.t or w[T_OFFERED] == 0 and w[T_SEEN] + AWAY <= c.t then
      drop_ticket(c, ticket)
    elseif w[T_OFFERED] > 0 then
      keep(kept, w, 1)
    else
      waiting[#waiting + 1] = {ticket, w}
    end
  end
  for _, one in ipairs(waiting) do
    local ticket, w = one[1], one[2]
    if not c.recovering and not in_the_way(c, kept, w[T_COMPANY], w[T_PRODUCT], c.pool.limit, c.pool.company_limit,
      c.pool.product_limits[w[T_PRODUCT]] or 0) then
      w[T_OFFERED] = c.t + OFFER
      save_ticket(c, ticket, w)
      look_at(c, w[T_OFFERED])
      keep(kept, w, 1)
    end
  end
  return kept
end

-- The ticket by which a seat is kept for somebody, if one is.
local function kept_for(c, account, product, mine)
  if c.pool.line == 0 then return end
  for _, ticket in ipairs({mine, 'a:' .. redis.sha1hex(account .. '\n' .. product)}) do
    local w = ticket_of(c, ticket)
    if w and w[T_OFFERED] > 0 then return ticket, w end
  end
end

-- Notes the limits that hold now: the line moves on by them.
local function note_limits(c, limit, company_limit, product, product_limit)
  c.pool.limit, c.pool.company_limit = limit, company_limit
  c.pool.product_limits[product] = product_limit > 0 and product_limit or nil
end

local function matching(why, company, product)
  return function(r)
    if not counts(r[MODE]) then return false end
    if why == 'company' then return works_in(r, company) end
    return why ~= 'product' or r[PRODUCT] == product
  end
end

-- In how long a seat surely is free that somebody needs, with some of those who hold them. It is found once a turn.
local function frees(c, why, company, product, most, lease)
  local about = table.concat({why, why == 'company' and company or '', why == 'product' and product or '', most}, '\n')
  local known = c.lists[about]
  if not known then
    local list = holders(c, matching(why, company, product), most)
    known = {list[1] and ends_of(cmsgpack.unpack(list[1][2])), list}
    c.lists[about] = known
  end
  return whole(math.max(0, (known[1] or c.t + lease) - c.t)), known[2]
end
