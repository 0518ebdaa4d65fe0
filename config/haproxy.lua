-- The action `http-request lua.clerk_gateway URL`: asks the gateway at URL whether a request may pass.
--
-- Allowed: every header of the gateway's answer replaces the request's of that name; an empty one removes it. So nothing
-- need be listed here: the answer names all that only the gateway may set, and all that a client forged.
-- Refused: the client gets the gateway's answer, status, headers and body. No answer: 503. Nothing passes by failure.

-- How long an answer may take, in milliseconds; the gateway itself gives Clerk less.
local PATIENCE = 10000

local function set(names)
    local found = {}
    for _, name in ipairs(names) do
        found[name] = true
    end
    return found
end

-- What belongs to one connection, and is written anew on the next.
local CONNECTION = set({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})

-- What an answer says of itself, not of the request.
local OF_THE_ANSWER = set({ "cache-control", "content-type", "date", "x-clerk-auth-reason", "x-request-id" })

-- HAProxy counts a header's values from 0.
local function each(values)
    local listed = {}
    for index = 0, #values do
        listed[#listed + 1] = values[index]
    end
    return ipairs(listed)
end

local function question(txn)
    local asked = {}
    local headers = txn.http:req_get_headers()
    for name, values in pairs(headers) do
        if not CONNECTION[name] then
            asked[name] = {}
            for _, value in each(values) do
                table.insert(asked[name], value)
            end
        end
    end
    -- All that /haproxy reads; a client's own headers of these names are replaced.
    asked["x-original-method"] = { txn.sf:method() }
    asked["x-original-uri"] = { txn.sf:pathq() }
    asked["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
    asked["x-forwarded-proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" }
    asked["x-forwarded-for"] = { txn.sf:src() }
    asked["forwarded"] = nil
    return asked
end

local function refuse(txn, answer)
    local reply = txn:reply({ status = answer.status, reason = answer.reason })
    for name, values in pairs(answer.headers) do
        if not CONNECTION[name] then
            for _, value in each(values) do
                reply:add_header(name, value)
            end
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end

local function fail(txn)
    local reply = txn:reply({ status = 503, reason = "Service Unavailable" })
    reply:add_header("Retry-After", "1")
    txn:done(reply)
end

local function allow(txn, answer)
    -- The gateway's word to HAProxy, not to the app.
    txn.http:req_del_header("x-clerk-auth-reason")
    for name, values in pairs(answer.headers) do
        if not CONNECTION[name] and not OF_THE_ANSWER[name] then
            txn.http:req_del_header(name)
            for _, value in each(values) do
                if value ~= "" then
                    txn.http:req_add_header(name, value)
                end
            end
        end
    end
end

core.register_action("clerk_gateway", { "http-req" }, function(txn, url)
    local client = core.httpclient()
    local answer = client:get({ url = url, headers = question(txn), timeout = PATIENCE })
    if not answer or not answer.status or answer.status < 200 or not answer.headers then
        return fail(txn)
    end
    if answer.status == 200 then
        return allow(txn, answer)
    end
    return refuse(txn, answer)
end, 1)
