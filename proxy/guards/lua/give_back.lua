-- Give back what a call took that was refused after all. KEYS: as take. ARGV: ask, answer of take, time.
local agent, repeats = KEYS[1], KEYS[2]
local ask, taken, now = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), clock(tonumber(ARGV[3]))
local second = math.floor(now / 1000)

if ask.calls_limit > 0 then move(agent, 'calls', minute_from(second), taken.second, -1) end
if ask.tokens_limit > 0 then move(agent, 'tokens', minute_from(second), taken.second, -ask.tokens) end
if ask.repeat_limit > 0 then
    move(repeats, ask['repeat'], second - ask.repeat_ms / 1000 + 1, taken.repeat_second, -1)
end
-- Where another call has come meanwhile, the agent works without this one, too.
if ask.busy_ms > 0 and redis.call('HGET', agent, 'busy') == taken.busy then
    if taken.busy_before == '' then
        redis.call('HDEL', agent, 'busy')
    else
        redis.call('HSET', agent, 'busy', taken.busy_before)
    end
end
return 1
