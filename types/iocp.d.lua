---@meta
-- Types and documentation of iocp for editors (LuaCATS). Point the language server's workspace.library here.
--
-- Everywhere: wrong use raises and names the argument; what can happen at run time returns nil, message, code. Every
-- function may be called from any thread; objects of the same port, heap or thread in several states are references to one.

---@alias iocp.Code
---| "TIMEOUT"   # the time given has passed
---| "CLOSED"    # the port was closed before the call
---| "ABANDONED" # the port was closed while the call waited
---| "CANCELLED" # the calling thread was cancelled; from join also: the joined thread ended by cancellation
---| "NOMEM"     # out of memory, past a heap's maximum, no more threads
---| "INVALID"   # not, or no longer, a live object of that kind
---| "ERROR"     # from join: the body raised an error
---| "RAW"       # from receive: a packet that enqueue posted
---| "MESSAGE"   # from dequeue: a packet that send posted
---| integer     # the system's own number

--- What an object is rebuilt from: the string or number that handle() gave, or on LuaJIT a pointer.
---@alias iocp.Handle string|integer|lightuserdata

--- 0 to 2^53-1, from Lua 5.3 on to 2^63-1; on LuaJIT also a pointer or a 64-bit integer.
---@alias iocp.Address integer

--- What crosses between states, as a copy: nil, booleans, numbers, strings, tables (shared parts and cycles kept), Lua
--- functions with their upvalues, C functions and modules that stand in package.loaded, plain LuaJIT cdata, lightuserdata;
--- and references to ports, heaps and threads. Anything else raises an error that names the path to it.
---@alias iocp.Value any

---@class iocp
---@field _VERSION string
---@field MESSAGE integer the overlapped of a message that dequeue_many or packets met
---@field IOCompletionPort iocp.IOCompletionPortClass
---@field Heap iocp.HeapClass
---@field Thread iocp.ThreadClass
local iocp = {}

--- The number of processors this process may use, at least 1.
---@return integer
function iocp.processors() end

--- Waits. Source: Microsoft's Sleep.
---@param ms number milliseconds from 0 on, fractions allowed, math.huge for ever; 0 only yields
---@return true|nil, string? message, iocp.Code? code CANCELLED
function iocp.sleep(ms) end

--- Lets another ready thread run. Source: Microsoft's SwitchToThread.
---@return true
function iocp.yield() end

--- The Thread whose body calls, or nil in a state that no Thread made.
---@return iocp.Thread?
function iocp.current() end

--- Tables with this metatable cross with its name, and get the one that is registered under it in the state they arrive in.
---@generic T: table
---@param name string
---@param metatable T
---@return T metatable
function iocp.register(name, metatable) end

--- Calls f(...), and says that it blocks outside this module.
---@param f function
---@param ... any
---@return any ... what f returns; its errors pass through
function iocp.blocking(f, ...) end

---@class iocp.IOCompletionPortClass
---@overload fun(concurrency: integer?): iocp.IOCompletionPort|nil, string?, iocp.Code?
--- concurrency: how many threads may work on its packets at a time, 0..2^32-1, default and 0: the number of processors.
--- NOMEM. Source: Microsoft's CreateIoCompletionPort.
local IOCompletionPort = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.IOCompletionPort|nil, string? message, iocp.Code? code INVALID
function IOCompletionPort.open(handle) end

--- One more reference, by what native() gave; on Windows also an object over a HANDLE of other code, which is never closed
--- here.
---@param native iocp.Address
---@return iocp.IOCompletionPort|nil, string? message, iocp.Code? code INVALID
function IOCompletionPort.adopt(native) end

---@class iocp.IOCompletionPort
local port = {}

--- Posts a packet; never blocks. Source: Microsoft's PostQueuedCompletionStatus.
---@param key iocp.Address the completion key, mostly a block's address
---@param bytes integer? 0..2^32-1, default 0
---@param overlapped iocp.Address? never dereferenced
---@return true|nil, string? message, iocp.Code? code CLOSED, NOMEM: nothing is queued
function port:enqueue(key, bytes, overlapped) end

--- Posts all keys of an array, in order and in one step, or none.
---@param keys iocp.Address[]
---@param bytes integer? of each packet
---@param overlapped iocp.Address? of each packet
---@return integer|nil count, string? message, iocp.Code? code CLOSED, NOMEM
function port:enqueue_many(keys, bytes, overlapped) end

---@class iocp.Timer
local timer = {}

--- Whether the packet will never arrive; false if it was posted, or cancelled, before. From any thread.
---@return boolean
function timer:cancel() end

--- Posts a packet once `ms` have passed. The timer is pending though it is collected, and keeps the port until then; a port that
--- is closed by then gets nothing. Source: Microsoft's CreateTimerQueueTimer.
---@param ms number milliseconds from 0 on
---@param key iocp.Address
---@param bytes integer? 0..2^32-1, default 0
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM
function port:enqueue_after(ms, key, bytes, overlapped) end

--- Takes the oldest packet, waiting for one if there is none. Of several waiting threads the one that came last is served
--- first. Source: Microsoft's GetQueuedCompletionStatus.
---@param ms number? milliseconds from 0 on; nil for ever
---@return iocp.Address|nil key, integer|string bytes, iocp.Address|iocp.Code|nil overlapped
--- On failure nil, message, TIMEOUT, CLOSED, ABANDONED, CANCELLED or NOMEM.
function port:dequeue(ms) end

--- Takes up to max packets; waits only for the first. Source: Microsoft's GetQueuedCompletionStatusEx.
---@param max integer from 1 on
---@param ms number? milliseconds from 0 on; nil for ever
---@param batch table? filled and returned; a new one otherwise. key, bytes, overlapped, key, ...
---@return table|nil batch, integer|string n, iocp.Code? code as dequeue
function port:dequeue_many(max, ms, batch) end

--- for key, bytes, overlapped in port:packets() do: until the port closes or the calling thread is cancelled.
---@param batch integer? how many to take at once, default 1; what a loop leaves goes back to the head of the queue
---@return fun(): iocp.Address?, integer?, iocp.Address?
function port:packets(batch) end

--- Posts values, as a packet that receive takes; never blocks. They are copied before the port is touched.
---@param ... iocp.Value
---@return true|nil, string? message, iocp.Code? code CLOSED, NOMEM: nothing is sent
function port:send(...) end

--- Takes the oldest message, as dequeue takes a packet, and rebuilds its values.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, any ... the values; or message, code. RAW: then key, bytes, overlapped of a packet that enqueue posted.
--- INVALID: the message needs a module, metatable or type that this state does not know, and is dropped.
function port:receive(ms) end

--- Takes up to max messages; waits only for the first. Each is a table { n = how many, values ... }. One with a code is
--- none: RAW with key, bytes, overlapped, or INVALID with a text.
---@param max integer 1 to 16384
---@param ms number? milliseconds from 0 on; nil for ever
---@return table[]|nil messages, integer|string n, iocp.Code? code as dequeue
function port:receive_many(max, ms) end

--- The values of a message that dequeue_many or packets of this state met as a packet, whose overlapped is iocp.MESSAGE.
---@param key iocp.Address the packet's
---@return true|nil, any ... the values; or message, INVALID: none of this port's, or unpacked before
function port:unpack(key) end

--- Closes: waiters return ABANDONED, later calls CLOSED, queued packets are dropped, the handle is dead for ever.
--- Source: Microsoft's CloseHandle.
---@return true
function port:close() end

--- The port's name in text: "0x" and 16 digits; also a number, tonumber(handle).
---@return string
function port:handle() end

--- The address of the C object of iocp.h.
---@return iocp.Address
function port:native() end

---@return { queued: integer, peak: integer, posted: integer, dequeued: integer, waiting: integer, active: integer,
---  released: integer, concurrency: integer, closed: boolean, sees_blocking: boolean }
function port:stats() end

---@class iocp.HeapClass
---@overload fun(initial: integer?, maximum: integer?): iocp.Heap|nil, string?, iocp.Code?
--- initial: bytes to map ahead; maximum: what the blocks may take together, 0 for no limit. NOMEM.
--- Source: Microsoft's HeapCreate; Bonwick and Adams, "Magazines and Vmem".
local Heap = {}

---@param handle iocp.Handle
---@return iocp.Heap|nil, string? message, iocp.Code? code INVALID
function Heap.open(handle) end

---@param native iocp.Address
---@return iocp.Heap|nil, string? message, iocp.Code? code INVALID
function Heap.adopt(native) end

--- The process' own heap, the same in every thread. Source: Microsoft's GetProcessHeap.
---@return iocp.Heap|nil, string? message, iocp.Code? code NOMEM
function Heap.process() end

--- All functions of a heap return INVALID once it is destroyed, and CANCELLED if the calling thread is cancelled while it
--- waits for a thread that holds lock().
---@class iocp.Heap
local heap = {}

--- A block, 16-byte aligned. Source: Microsoft's HeapAlloc.
---@param size integer bytes, 0 allowed
---@param zero boolean? true clears it
---@return iocp.Address|nil address, string? message, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:alloc(size, zero) end

--- Resizes, moving the block if need be; on failure it is as it was. Source: Microsoft's HeapReAlloc.
---@param address iocp.Address? nil allocates
---@param size integer
---@param zero boolean? true clears what is new
---@return iocp.Address|nil address, string? message, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:realloc(address, size, zero) end

--- Frees a block that any thread allocated. Source: Microsoft's HeapFree.
---@param address iocp.Address? nil is fine
---@return true|nil, string? message, iocp.Code? code INVALID: freed before, foreign, not a block's start; CANCELLED
function heap:free(address) end

--- The bytes asked for. Source: Microsoft's HeapSize.
---@param address iocp.Address
---@return integer|nil size, string? message, iocp.Code? code INVALID, CANCELLED
function heap:size(address) end

---@param address iocp.Address
---@param string string
---@param offset integer? bytes from the block's start, default 0
---@return true|nil, string? message, iocp.Code? code INVALID, also past the block's end; CANCELLED
function heap:write(address, string, offset) end

---@param address iocp.Address
---@param offset integer? bytes from the block's start, default 0
---@param length integer? default: to the block's end
---@return string|nil content, string? message, iocp.Code? code INVALID, also past the block's end; CANCELLED
function heap:read(address, offset, length) end

--- A new block with the bytes of a string.
---@param string string
---@return iocp.Address|nil address, integer|string size, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:put(string) end

--- The content of a block, which is freed.
---@param address iocp.Address
---@return string|nil content, string? message, iocp.Code? code INVALID, CANCELLED
function heap:take(address) end

--- A new block with values. It is sealed: damage is found. It holds no references to the objects in it.
---@param ... iocp.Value
---@return iocp.Address|nil address, integer|string size, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:encode(...) end

--- The values of a block that encode made; the block stays.
---@param address iocp.Address
---@return any ... the values; or nil, message, INVALID: no such block, damaged, an object is gone, or it needs what this
--- state does not know
function heap:decode(address) end

--- Whether a live block starts there; without an address, whether the heap is in order. Source: Microsoft's HeapValidate.
---@param address iocp.Address?
---@return boolean
function heap:validate(address) end

--- for address, size in heap:walk() do: the live blocks as of the call. Source: Microsoft's HeapWalk.
---@return fun(): iocp.Address?, integer?
function heap:walk() end

--- Keeps all other threads out until as many unlocks; the end of the thread unlocks. Source: Microsoft's HeapLock.
---@return true|nil, string? message, iocp.Code? code CANCELLED, INVALID
function heap:lock() end

---@return true|nil, string? message, iocp.Code? code INVALID: this thread does not hold it
function heap:unlock() end

---@return { blocks: integer, bytes: integer, peak_bytes: integer, reserved: integer }|nil, string?, iocp.Code?
function heap:stats() end

--- Frees every block and gives the memory back. Source: Microsoft's HeapDestroy.
---@return true|nil, string? message, iocp.Code? code INVALID: destroyed before, or the process' own
function heap:destroy() end

---@return string
function heap:handle() end

---@return iocp.Address
function heap:native() end

---@class iocp.ThreadOptions
---@field body string|function
---@field name string? for debuggers and tracebacks
---@field stack integer? C stack in bytes, default 2 MiB
---@field suspended boolean? true: it waits for resume()

---@class iocp.ThreadClass
---@overload fun(body: string|function|iocp.ThreadOptions, ...: iocp.Value): iocp.Thread|nil, string?, iocp.Code?
--- Starts a thread that calls body(...) in a state of its own. body: Lua text, or a function, whose upvalues are copied.
--- NOMEM or the system's number. Source: Microsoft's CreateThread.
local Thread = {}

---@param handle iocp.Handle
---@return iocp.Thread|nil, string? message, iocp.Code? code INVALID
function Thread.open(handle) end

---@param native iocp.Address
---@return iocp.Thread|nil, string? message, iocp.Code? code INVALID
function Thread.adopt(native) end

---@class iocp.Thread
local thread = {}

--- Waits for the end; again and again. A thread cannot join itself. Source: Microsoft's WaitForSingleObject.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, any ... the body's results; or message with traceback, code, and the error value if it can cross
function thread:join(ms) end

---@return "suspended"|"running"|"finished"|"failed"|"cancelled"
function thread:status() end

--- From now on every wait of this module in that thread returns CANCELLED, the one it is in included.
---@param how "hard"? also raises an error in running Lua code, whatever pcall catches
---@return true
function thread:cancel(how) end

--- Starts a thread that was created suspended. Source: Microsoft's ResumeThread.
---@return true|nil, string? message, iocp.Code? code INVALID: started before; NOMEM or the system's number
function thread:resume() end

--- The system's number, nil before the start.
---@return integer?
function thread:id() end

---@return string
function thread:name() end

---@return string
function thread:handle() end

---@return iocp.Address
function thread:native() end

return iocp
