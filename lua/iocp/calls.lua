--- What the loops over a pool call for each item, and with what: the function, chunk, "module:function" or table that
-- submit takes, and the options args, index and results.
--
-- A plain f(item, index) crosses as it is, which is the quickest. For anything else a runner in the worker
-- (runners.lua) is told how to call it, by `how`: runner, the one that it stands before; worker, whether the state
-- comes first; index, whether the index comes behind the item; args, with n of them, behind both; all, whether all
-- results count.
local calls = {}

calls.WORK = 'a function, a chunk, "module:function" or a table'
calls.ARGS = { "args", function(v) return type(v) == "table" end, "a list of what f is called with besides" }
calls.INDEX = { "index", function(v) return type(v) == "boolean" end, "a boolean" }
calls.RESULTS = { "results", function(v) return v == "first" or v == "all" end, '"first" or "all"' }

local options, runners = require "iocp.options", require "iocp.runners"
local unpack = rawget(table, "unpack") or unpack

--- Whether it may be work, in detail `read` says.
function calls.is_work(f)
  return type(f) == "function" or type(f) == "string" or type(f) == "table"
end

--- What is to be called. `again`: a chunk may run twice.
function calls.read(parts, f, given, again)
  local body, name, worker, terms = parts.describe(f)
  if not again and terms and ((terms.timeout or 0) > 0 or (terms.retries or 0) > 0) then
    options.wrong("f", "timeout and retries are for submit and imap; the loop itself has an option timeout")
  end
  local call = { body = body, worker = worker or false, work = body, terms = terms }
  name = given.name or name
  if name or worker or terms then
    call.work = parts.named_work(body, name, worker, terms)
  end
  if type(body) == "function" and given.index ~= false and debug and debug.getinfo(body, "S").what == "C" then
    call.hint = "f is called with an item and its index: say index = false"
  end
  local args = given.args or {}
  local n = args.n or #args
  if worker or n > 0 or given.index == false or given.results == "all" then
    call.how = { worker = worker, index = given.index ~= false, all = given.results == "all", args = args, n = n }
  end
  return call
end

--- Makes a job call it, by a runner.
function calls.apply(call, runner, job)
  job.work, job.runner, job.how, job.hint = call.work, runner, call.how, call.hint
  if call.how then
    call.how.runner = runner
    job.runner = call.worker and runners.ADAPT_STATE or runners.ADAPT
  end
  return job
end

--- It as a function of two items, for the caller itself.
function calls.in_caller(call)
  local body, how = call.body, call.how
  if not how or how.n == 0 then
    return body
  end
  return function(a, b) return body(a, b, unpack(how.args, 1, how.n)) end
end

return calls
