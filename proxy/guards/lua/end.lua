-- A call that was taken has ended. KEYS: as take. ARGV: ask, answer of take, its end, time.
local agent, failures = KEYS[1], KEYS[4]
local ask, taken, ended = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local now = clock(tonumber(ARGV[4]))
local RETRY_MS, DELAY_MAX_MS = 60000, 60000

if ask.tokens_limit > 0 then
    move(agent, 'tokens', minute_from(math.floor(now / 1000)), taken.second, ended.tokens - ask.tokens)
end

if ask.busy_ms > 0 then
    local start, last = string.match(redis.call('HGET', agent, 'busy') or '', '(%d+):(%d+)')
    if start then redis.call('HSET', agent, 'busy', string.format('%s:%.0f', start, math.max(last, now))) end
end

if ended.held_ms > 0 then
    local field = 'hold:' .. ask.provider
    local ends = math.max(tonumber(redis.call('HGET', agent, field) or 0), now + ended.held_ms)
    redis.call('HSET', agent, field, string.format('%.0f', ends))
    redis.call('PEXPIRE', agent, KEPT_MS)
end

if ask.retries then
    local count, last, ends = string.match(redis.call('GET', failures) or '', '(%d+):(%d+):(%d+)')
    count, last, ends = tonumber(count or 0), tonumber(last or 0), tonumber(ends or 0)
    if now > ends + RETRY_MS then count = 0 end
    -- Calls that ran side by side and failed together are one failure, not many retries.
    local is_retry = taken.at_ms > last
    if ended.failed then
        if is_retry or count == 0 then count = count + 1 end
        local delay = math.min(DELAY_MAX_MS, 1000 * 2 ^ (count - 1))
        local text = string.format('%.0f:%.0f:%.0f', count, now, now + delay)
        redis.call('SET', failures, text, 'PX', DELAY_MAX_MS + 2 * RETRY_MS)
    elseif is_retry then
        redis.call('DEL', failures)
    end
end
return 1
