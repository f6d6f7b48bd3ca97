---@meta iocp.remote
-- Types and documentation of iocp.remote for editors (LuaCATS), beside iocp.d.lua. The guide: doc/remote.md.
--
-- A pool and its tasks belong to the state that made them; waits yield in a fiber, and block elsewhere.

--- Where Redis is: "host:port", a unix socket's path, "redis://[[user]:password@]host[:port][/database]", the same with
--- "rediss://" for TLS (by LuaSec, with the server's name verified), or a table.
---@alias iocp.remote.Address string|iocp.remote.Place

---@class iocp.remote.Place
---@field host? string
---@field port? integer 6379
---@field path? string of a unix socket, in the place of both
---@field username? string
---@field password? string
---@field database? integer
---@field tls? table what stream:starttls takes

--- "module:function", or a table with that as body, and terms: id (of 1 to 200 bytes: submitted again while the job or
--- its outcome is there it is the same job), priority, retries, backoff (ms, each time twice as much), timeout (ms).
---@alias iocp.remote.Work string|iocp.remote.Terms

---@class iocp.remote.Terms
---@field body string "module:function"
---@field id? string
---@field priority? "high"|"normal"|"low"
---@field retries? integer
---@field backoff? number
---@field timeout? number

---@alias iocp.remote.Code
---| "REDIS"   # Redis answered with an error; the message has it
---| "REFUSED" # of a task: no worker may run this function
---| "DIED"    # of a task: so many workers ended while they ran it that it was given up
---| "LOST"    # of a task: Redis does not know the job any more
---| iocp.Code # what connecting failed with; ERROR, CANCELLED, TIMEOUT, CLOSED, MISSING, INVALID

---@alias iocp.remote.Status "unscheduled"|"scheduled"|"running"|"completed"|"failed"|"cancelled"

---@class iocp.remote
local remote = {}

---@class iocp.remote.PoolOptions
---@field redis iocp.remote.Address
---@field queue string letters, digits, "_", "." and "-"
---@field queue_limit? integer how many jobs may be queued
---@field queue_wait? number how many ms submit waits for room; nil: for ever
---@field ttl? number how many ms outcomes stay in Redis, 3,600,000
---@field patience? number for how many ms Redis may be away before a call gives up, 30,000

--- A pool over a queue in Redis, which workers on any machine take jobs from.
---@param options iocp.remote.PoolOptions
---@return iocp.remote.Pool|nil, string? message, iocp.Code? code what connecting failed with
function remote.Pool(options) end

---@class iocp.remote.WorkerOptions
---@field redis iocp.remote.Address
---@field queue string
---@field modules string[]|table<string, string[]> what is served: modules, or functions by module; nothing else is run
---@field workers? integer threads, as many as there are processors
---@field prefetch? integer jobs taken ahead, 4 for each thread
---@field lease? number ms after which the jobs of a worker that is not heard of are others', 30,000; at least 100
---@field deaths? integer how many workers may die of a job before it is given up, 3
---@field grace? number ms for what runs when it is told to stop, 30,000
---@field pool? table more options of the local iocp.Pool: init, fini, tasks_per_worker ...
---@field stop? iocp.IOCompletionPort a packet to it stops the worker, as SIGTERM and SIGINT do
---@field log? fun(text: string) the error output

--- Takes jobs and runs them until it is told to stop. Then it takes no more, gives back what it has not begun, waits
--- for what runs, and returns.
---@param options iocp.remote.WorkerOptions
---@return true|nil, string? message, iocp.Code? code
function remote.serve(options) end

---@class iocp.remote.Pool
local pool = {}

--- A job, which is in Redis when this returns; where Redis was away for too long (the code is what connecting failed
--- with) it may be there, or not. Raises where an argument cannot cross, and names the path to it.
---@param f iocp.remote.Work
---@param ... any nil, booleans, numbers, strings, tables of such without cycles
---@return iocp.remote.Task|nil, string? message, iocp.remote.Code? code TIMEOUT: the queue is full
function pool:submit(f, ...) end

--- The same, not taken by a worker before so many milliseconds have passed on Redis' clock.
---@param ms number 0 to 1e15
---@param f iocp.remote.Work
---@param ... any
---@return iocp.remote.Task|nil, string? message, iocp.remote.Code? code
function pool:submit_after(ms, f, ...) end

--- A job that nobody waits for.
---@param f iocp.remote.Work
---@param ... any
---@return true|nil, string? message, iocp.remote.Code? code
function pool:post(f, ...) end

--- The task of a job that was submitted elsewhere, or before this process began; LOST if there is none.
---@param id string
---@return iocp.remote.Task
function pool:task(id) end

---@class iocp.remote.LoopOptions
---@field ordered? boolean imap: in the input's order (true), or as they come
---@field window? integer jobs under way, or whose results nobody has taken: 256
---@field timeout? number ms that all of it may take
---@field errors? "raise"|"collect"
---@field args? any[] what f is called with behind item and index
---@field index? boolean false: f is called without the index
---@field results? "first"|"all"

--- The first results of f(item, index) in the list's order. Raises the first error, having cancelled the rest.
---@param list any[]|fun(): any
---@param f iocp.remote.Work without an id
---@param options? iocp.remote.LoopOptions
---@return any[] results, table? messages, table? values the last two with errors = "collect"
function pool:map(list, f, options) end

--- For a for-loop: index and result of each item; with errors = "collect" index, true, result or index, false, message,
--- error value.
---@param list any[]|fun(): any
---@param f iocp.remote.Work without an id
---@param options? iocp.remote.LoopOptions
---@return iocp.remote.Results
function pool:imap(list, f, options) end

---@class iocp.remote.Stats
---@field queued integer
---@field active integer taken by a worker, and not ended
---@field delayed integer for later, or for a retry
---@field dead integer entries of the dead-letter stream
---@field submitted integer ever, as all below
---@field completed integer
---@field failed integer
---@field cancelled integer
---@field retried integer
---@field taken_over integer leases that ended
---@field poisoned integer given up: DIED
---@field refused integer
---@field duplicates integer outcomes that were not the first of their job

--- Of the queue, whoever uses it.
---@return iocp.remote.Stats|nil, string? message, iocp.remote.Code? code
function pool:stats() end

--- Ends the connections; the jobs go on.
---@return true
function pool:close() end

---@class iocp.remote.Task
local task = {}

--- Waits for its end; again and again. Codes: ERROR, CANCELLED, TIMEOUT, REFUSED, DIED, LOST, INVALID.
---@param ms? number
---@return true|nil, any ... the results; or message with traceback, code, error value
function task:wait(ms) end

--- The same at once; TIMEOUT: it has not ended.
---@return true|nil, any ...
function task:result() end

--- Asks Redis, unless its end is known.
---@return iocp.remote.Status|nil, string? message, iocp.remote.Code? code
function task:status() end

--- One that is queued never runs; one that runs is asked to end with its worker's next heartbeat.
---@return boolean|nil, string? message, iocp.remote.Code? code false: it had ended
function task:cancel() end

--- One packet when it has ended, at once if it has, whatever this thread does.
---@param port iocp.IOCompletionPort
---@param key integer
---@param overlapped? integer
---@return true|nil, string? message, iocp.Code? code
function task:notify(port, key, overlapped) end

--- A job that runs when this one has completed, with its results and the arguments behind them; else it is cancelled.
---@param f iocp.remote.Work
---@param ... any
---@return iocp.remote.Task|nil, string? message, iocp.remote.Code? code MISSING: this one's outcome has expired
function task:then_(f, ...) end

--- A job that runs when this one has not completed, with its message, code and error value and the arguments behind
--- them; else its outcome is this one's. Of a then_ that was cancelled for it: those of the first that failed.
---@param f iocp.remote.Work
---@param ... any
---@return iocp.remote.Task|nil, string? message, iocp.remote.Code? code MISSING: this one's outcome has expired
function task:catch(f, ...) end

--- A job that runs with the arguments when this one has ended, and ends as this one did, unless it fails.
---@param f iocp.remote.Work
---@param ... any
---@return iocp.remote.Task|nil, string? message, iocp.remote.Code? code MISSING: this one's outcome has expired
function task:finally(f, ...) end

---@return string
function task:id() end

---@class iocp.remote.Results
---@overload fun(): integer?, any ...
local results = {}

--- Cancels what is left; what runs is asked to end, and not waited for.
---@return true
function results:close() end

return remote
