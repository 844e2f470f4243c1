-- Script for wrk: request the paths of a file in order, with the given headers.
-- Arguments: the file, then headers as "Name: value". Prints one line of JSON at the end.
-- closed: connections that the server closed during the load; wrk reopens them.
local requests, next_one = {}, 0

function init(args)
    local headers = {}
    for i = 2, #args do
        local name, value = args[i]:match("^([^:]+): (.*)$")
        headers[name] = value
    end
    for path in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", path, headers)
    end
    math.randomseed(os.time())
    next_one = math.random(#requests)
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %.3f, "bytes": %.0f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d, "closed": %d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, errors.connect + errors.status + errors.timeout, errors.read + errors.write))
end
