-- createRecord over HTTP: every request another account, every record another text.
-- The accounts stand in the file that LOAD_ACCOUNTS names, one a line: DID, space, access token.

local accounts = {}
local count = 0
local salt = 0

function setup(thread)
   salt = salt + 1
   thread:set("salt", salt)
end

function init(args)
   for line in io.lines(os.getenv("LOAD_ACCOUNTS")) do
      local did, token = line:match("^(%S+) (%S+)$")
      accounts[#accounts + 1] = {
         headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token },
         body = '{"repo":"' .. did .. '","collection":"app.bsky.feed.post","record":{"$type":"app.bsky.feed.post",'
            .. '"createdAt":"2026-01-01T00:00:00.000Z","text":"load ',
      }
   end
end

function request()
   count = count + 1
   local account = accounts[count % #accounts + 1]
   return wrk.format("POST", "/xrpc/com.atproto.repo.createRecord", account.headers,
      account.body .. salt .. " " .. count .. '"}}')
end

function done(summary, latency, requests)
   io.write(string.format(
      '\n{"requests":%d,"duration_us":%d,"failed":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
      summary.requests, summary.duration,
      summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
