-- getRecord over HTTP. The addresses stand in the file that LOAD_PATHS names, one a line.

local paths = {}
local count = 0

function init(args)
   for line in io.lines(os.getenv("LOAD_PATHS")) do paths[#paths + 1] = line end
end

function request()
   count = count + 1
   return wrk.format("GET", paths[count % #paths + 1])
end

function done(summary, latency, requests)
   io.write(string.format(
      '\n{"requests":%d,"duration_us":%d,"failed":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
      summary.requests, summary.duration,
      summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
