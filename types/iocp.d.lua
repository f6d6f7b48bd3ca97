---@meta iocp
-- Types and documentation of iocp for editors (LuaCATS). Point the language server's workspace.library at this folder;
-- the name above says that this is what require "iocp" gives.
--
-- Everywhere: wrong use raises and names the argument; what can happen at run time returns nil, message, code. Every
-- function may be called from any thread, but those of objects that are said to be for one alone; objects of the same
-- port, heap or thread in several states are references to one.

---@alias iocp.Code
---| "TIMEOUT"   # the time given has passed
---| "CLOSED"    # the port was closed before the call
---| "ABANDONED" # the port was closed while the call waited
---| "CANCELLED" # the calling thread was cancelled: clean up and return; from join: the one joined, by its status
---| "NOMEM"     # out of memory, past a heap's maximum, or at a limit of the system's (threads, mappings)
---| "INVALID"   # not, or no longer, a live object of that kind; an object in the wrong state
---| "ERROR"     # from join and wait: the body raised an error
---| "RAW"       # from receive: a packet that enqueue posted
---| "MESSAGE"   # from dequeue: a packet that send posted
---| "EXISTS"    # from dict:add: the key has a value
---| "MISSING"   # from dict:replace and dict:incr: it has none
---| "FULL"      # from enqueue and send: as many packets are queued as the port has capacity for
---| string      # of an I/O that failed: POSIX' name, a key of iocp.E; of a lookup EAI_NONAME and its like
---| integer     # the system's own number

--- What an object is rebuilt from: the string or number that handle() gave, or on LuaJIT a pointer.
---@alias iocp.Handle string|integer|lightuserdata

--- 0 to 2^53-1, from Lua 5.3 on to 2^63-1; on LuaJIT also a pointer or a 64-bit integer.
---@alias iocp.Address integer

--- What crosses between states, as a copy: nil, booleans, numbers, strings, tables (shared parts and cycles kept), Lua
--- functions with their upvalues, C functions and modules that stand in package.loaded, plain LuaJIT cdata,
--- lightuserdata; and references to ports, heaps, threads, sockets, files, atomics, dictionaries, arrays, frozen
--- tables. Anything else raises an error that names the path to it.
---@alias iocp.Value any

---@class iocp
---@field _VERSION string of this module
---@field E table<string, integer> what I/O fails with: numbers by POSIX' names, the same on every system, below 65536
---@field MESSAGE integer the overlapped of a message that dequeue_many or packets met
---@field PEER integer 32, the bytes of a peer's address before a datagram's data: Heap.peer
---@field IOCompletionPort iocp.IOCompletionPortClass
---@field Heap iocp.HeapClass
---@field Thread iocp.ThreadClass
---@field Pool iocp.PoolClass
---@field Socket iocp.SocketClass
---@field File iocp.FileClass
---@field Atomic iocp.AtomicClass
---@field Dict iocp.DictClass
---@field Array iocp.ArrayClass
---@field stdin iocp.FileStream the process' own, in the one thread that uses it first; elsewhere, and on Windows, it
--- blocks
---@field stdout iocp.FileStream as stdin
---@field stderr iocp.FileStream as stdin
---@field coroutine table create, wrap and resume whose coroutines fibers can wait in, and the rest of Lua's
local iocp = {}

--- The number of processors this process may use, at least 1.
---@return integer
function iocp.processors() end

--- Waits; in a fiber others run meanwhile. Source: Microsoft's Sleep.
---@param ms number milliseconds from 0 on, fractions allowed, math.huge for ever; 0 only yields
---@return true|nil, string? message, iocp.Code? code CANCELLED
function iocp.sleep(ms) end

--- Lets another ready thread run, in a fiber the other fibers. Source: Microsoft's SwitchToThread.
---@return true|nil, string? message, iocp.Code? code CANCELLED, TIMEOUT: the fiber was, or its time has passed
function iocp.yield() end

--- What the bytes of a packet say that dequeue_many or packets gave: those of an I/O that failed are -(transferred *
--- 65536 + number).
---@param bytes integer
---@return string|integer|nil name POSIX' name, or the system's own number; nil: it has not failed
---@return string? text what that means
---@return integer transferred what went through; of a packet that has not failed all of `bytes`
function iocp.describe(bytes) end

--- A clock that only goes forward.
---@return number ms milliseconds from an arbitrary start, fractions too
function iocp.clock() end

--- Whether waits of the calling thread are cancelled: its thread was, or the task of a pool that it runs, or the fiber
--- that calls.
---@return boolean
function iocp.cancelled() end

--- Gets what failed and nobody asked for, instead of the error output. Called in a state of its own.
---@alias iocp.OnUnobserved fun(message: string, about: iocp.Failed)

---@class iocp.Failed
---@field thread? string its name
---@field made? string where it was made, "file:line"; of a task with IOCP_DEBUG=1 only
---@field task? string its name, or where its function was written
---@field pool? string its name, or that of the task's pool

--- What becomes of threads, tasks and pools that fail without anybody asking: a function gets them, false is quiet, nil
--- is the error output, as at first. For the whole process.
---@param f iocp.OnUnobserved|false|nil it crosses as a thread's body does, and is called in a state of its own; if it
--- fails, that is told with the failure
---@return true|nil, string? message, iocp.Code? code NOMEM
function iocp.on_unobserved(f) end

--- The Thread whose body calls, or nil in a state that no Thread made.
---@return iocp.Thread?
function iocp.current() end

--- The threads that run Lua, or are suspended before it: those that iocp.Thread made, whoever has them, and the workers
--- of pools. Not the main script's, and none that has ended. In no order; each is one more reference.
---@return iocp.Thread[]
function iocp.threads() end

--- The pools that somebody refers to and that have not ended (closed, and without workers). In no order; each is one
--- more reference, which keeps the pool: do not hold on to what you only look at.
---@return iocp.Pool[]
function iocp.pools() end

--- What ends once: wait_any, wait_all and as_completed take any of them.
---@alias iocp.Ends iocp.Task|iocp.Thread|iocp.Process|iocp.Lookup|iocp.Fiber

--- Waits until one of them has ended. Inside a fiber the others run meanwhile; a worker of a pool that waits so counts
--- as blocked. May be called by any thread, with what it has references to. Source: Python's concurrent.futures.wait.
--- Returns it, and its index in the list.
---@param list iocp.Ends[] not empty
---@param ms? number how long, from 0 on; default for ever
---@return iocp.Ends|nil ended, integer|string index, iocp.Code? code TIMEOUT, CANCELLED, NOMEM
function iocp.wait_any(list, ms) end

--- Waits until all of them have ended, however they did: each is to be asked for what came of it.
---@param list iocp.Ends[]
---@param ms? number how long, from 0 on; default for ever
---@return true|nil, string? message, iocp.Code? code TIMEOUT, CANCELLED, NOMEM
function iocp.wait_all(list, ms) end

--- Each of them and its index in the list, in the order in which they end. Raises what wait_any returns, where the wait
--- for the next is in vain.
---@param list iocp.Ends[]
---@return fun(): iocp.Ends|nil, integer?
function iocp.as_completed(list) end

--- Tables with this metatable cross with its name, and get the one that is registered under it in the state they arrive
--- in. What is registered is a state's own.
---@generic T: table
---@param name string
---@param metatable T
---@return T metatable
function iocp.register(name, metatable) end

--- What reads as the table that it was made of: f[key] is what that has, of a table its part, which is frozen, too. A
--- function or object as a key is found by what iocp.pairs gives. #f is the length that the table had; f == g, whether
--- they are the same part of the same block. Writing raises; reading does where a function's modules are not in this
--- state, and the like.
---@alias iocp.Frozen any

--- A table and all that is in it, copied once into a block that every thread reads in place: it crosses as a reference,
--- as does each table in it. Functions, cdata and objects in it are for each state what they would be if they were sent
--- alone. Raises for anything else, for what cannot cross, with the path to it, and for lack of memory.
---@param value table a frozen value is returned as it is
---@return iocp.Frozen
function iocp.Frozen(value) end

--- pairs(t), which LuaJIT and Lua 5.1 do not have for a frozen table; first the elements from 1 on.
---@param t table|iocp.Frozen
---@return function step, any t, nil start
function iocp.pairs(t) end

--- ipairs(t), which LuaJIT and Lua 5.1 do not have for a frozen table.
---@param t table|iocp.Frozen
---@return function step, any t, integer start
function iocp.ipairs(t) end

--- A copy of a frozen table that can be changed, with all that it reaches and the registered metatables, which parts
--- have not: one that this state has not registered raises. Anything else is returned as it is.
---@param value any
---@return any
function iocp.thaw(value) end

--- Begins to look for a host's addresses, in one of at most 4 threads of the process; what is digits, and "localhost",
--- is known at once. It crosses to other states as a reference: not by encode. Source: getaddrinfo(3), Microsoft's
--- GetAddrInfoW.
---@param host string a name, or an address in digits
---@param service? integer|string a port, 0..65535, or a service's name; default 0
---@return iocp.Lookup|nil lookup, string? message, iocp.Code? code NOMEM, or the system's number: there is no thread
function iocp.resolve(host, service) end

---@class iocp.HostAddress
---@field host string in digits, for an inet6 one with "%scope" if it has one
---@field port integer the service's
---@field family "inet"|"inet6" which of the two it is

--- A child process, started at once and without a shell. Source: posix_spawn(3), Microsoft's CreateProcessW.
---@class iocp.ProcessOptions
---@field [integer] string the program, found by PATH if it names no folder, and its arguments
---@field stdin? false|"pipe"|iocp.File nil: this process' own; false: nothing to read
---@field stdout? false|"pipe"|iocp.File nil: this process' own; false: what is written is lost
---@field stderr? false|"pipe"|"stdout"|iocp.File "stdout": where its output goes
---@field env? table<string, string> all names and values that it is to have; nil: as this process
---@field cwd? string the folder that it begins in

--- Starts a child process. A program that nobody waits for goes on when its object is collected, and when this process
--- ends. It inherits nothing but its three streams, and does with signals what programs do at first. There is no shell:
--- arguments arrive as they are.
---@param options iocp.ProcessOptions
---@return iocp.Process|nil process, string? message, iocp.Code? code ENOENT, EACCES, NOMEM ...; ENOEXEC: on Windows a
--- .bat or .cmd, whose arguments a shell would parse anew
function iocp.Process(options) end

--- A child process. Any thread may have it, as a reference; in other states than its maker's it has no streams.
---@class iocp.Process
---@field stdin iocp.File? the other end of a "pipe", not yet associated; nil for others, and in other states. Close it
--- and the child has read all
---@field stdout iocp.File? as stdin
---@field stderr iocp.File? as stdin
local process = {}

--- Waits until it has ended; again and again. Returns true and its exit code; true, nil and the signal that ended it,
--- "KILL" ...; or true, nil: other code of this process has asked the system before.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil ended, integer|string|nil code, string|iocp.Code|nil signal TIMEOUT, CANCELLED
function process:wait(ms) end

--- Posts one packet with 0 bytes when it has ended, at once if it has: as thread:notify.
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM
function process:notify(target, key, overlapped) end

--- Sends a signal. Windows has TERM and KILL, which end it.
---@param signal? string without SIG: "TERM" (default), "KILL", "INT", "HUP" ...
---@return true|nil ok, string? message, iocp.Code? code ESRCH: it has ended
function process:kill(signal) end

--- The system's number of it.
---@return integer
function process:id() end

--- The search for a host's addresses. Any thread may have it, as a reference.
---@class iocp.Lookup
local lookup = {}

--- Waits until it has ended; again and again. A time given runs however long the system takes. The addresses come in
--- the order to try them, at least one.
---@param ms number? milliseconds from 0 on; nil for ever
---@return iocp.HostAddress[]|nil addresses, string? message, iocp.Code? code EAI_NONAME: no such host, or it has no
--- address; EAI_SERVICE: no such service; EAI_AGAIN: no answer from a name server; EAI_FAIL, EAI_SYSTEM: what asks
--- failed; TIMEOUT; CANCELLED: the lookup was, or the thread; NOMEM
function lookup:wait(ms) end

--- Posts one packet with 0 bytes when it has ended, at once if it has: as thread:notify.
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM
function lookup:notify(target, key, overlapped) end

--- Ends it: who waits gets CANCELLED, and ports are told. What the system has begun for it goes on in its thread, for
--- as long as it takes.
---@return boolean # true: it has ended by this; false: it had ended
function lookup:cancel() end

--- What a user or the system asks of the process, to be asked for as packets: Ctrl-C, an end, a hang-up, Ctrl-Break.
--- On Linux SIGINT, SIGTERM and SIGHUP, and BREAK never comes; on Windows TERM is the system's shutdown and HUP the
--- console's end, after which the process has some seconds.
---@param name "INT"|"TERM"|"HUP"|"BREAK"
---@return iocp.Signal
function iocp.signal(name) end

--- One of the process' signals. It does not cross: each state asks for its own, of the same.
---@class iocp.Signal
local signal = {}

--- Posts a packet with 0 bytes each time the signal comes, to each who asked, in whatever thread, until its timer is
--- cancelled: that gives true if it was still asked for. Meanwhile the signal does nothing else: Ctrl-C interrupts
--- nothing. When the last who asked has left, by cancel or because its port was closed when one came, it does what it
--- did before, unless somebody else has set a handler. The port is kept. Source: Microsoft's SetConsoleCtrlHandler,
--- sigaction(2).
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM, or the system's number
function signal:notify(target, key, overlapped) end

--- Calls f(...), and says that it blocks outside this module, so that another thread of the port may run meanwhile. An
--- error goes on with the same value, its traceback ends here; f cannot yield across it.
---@param f function
---@param ... any
---@return any ... what f returns
function iocp.blocking(f, ...) end

--- Runs f(...) in a fiber, and all that it spawns: returns when the last of them has ended. Inside a fiber it is a
--- scope of its own.
---@param what function|iocp.RunOptions
---@param ... any
---@return any ... f's results; nil, message, CANCELLED or TIMEOUT, if the fiber that calls was cancelled, or its time
--- has passed. Raises f's error, and that of a fiber nobody waits for, with its traceback
function iocp.run(what, ...) end

---@class iocp.RunOptions
---@field main function what is called
---@field on_error nil|"raise"|"log"|"keep"|fun(message: string, about: {fiber: string, value: any}) what becomes of an
--- error that nobody waits for

--- Begins a fiber that calls f(...), in the scope of the one that calls.
---@param what function|{body: function, name: string?}
---@param ... any
---@return iocp.Fiber
function iocp.spawn(what, ...) end

--- The same, later; its scope waits for it.
---@param ms number milliseconds from 0 on
---@param what function|{body: function, name: string?}
---@param ... any
---@return iocp.Fiber
function iocp.spawn_after(ms, what, ...) end

--- Calls f(...) again and again, until it fails or is cancelled; calls do not overlap, and times that one takes too
--- long for are left out. Its scope does not wait for it, but cancels it in the end.
---@param ms number milliseconds above 0
---@param what function|{body: function, name: string?}
---@param ... any
---@return iocp.Fiber
function iocp.spawn_every(ms, what, ...) end

--- The fiber that calls; nil where none runs.
---@return iocp.Fiber|nil
function iocp.fiber() end

---@class iocp.AboutFiber
---@field fiber iocp.Fiber itself
---@field name string the name it was given, or where its function was written
---@field status iocp.FiberStatus how it does
---@field since number for how long: a time of iocp.clock, in milliseconds
---@field traceback string where it is

--- The fibers of this thread that have not ended, in no order.
---@return iocp.AboutFiber[]
function iocp.fibers() end

--- The port of this thread's scheduler, by which other threads reach its fibers. Packets whose overlapped is 2^52 or
--- more are the scheduler's.
---@return iocp.IOCompletionPort
function iocp.port() end

--- Calls f(...), in which every wait returns TIMEOUT once the time has passed.
---@param ms number|nil milliseconds from 0 on; nil: without an end
---@param f function
---@param ... any
---@return any ... f's results; nil, message, TIMEOUT, once the time has passed, whatever f did. Raises f's error,
--- unless it follows from such a wait
function iocp.within(ms, f, ...) end

--- Lua's pcall; in Lua 5.1 one through which fibers can wait.
---@param f function
---@param ... any
---@return boolean ok, any ... as pcall
function iocp.pcall(f, ...) end

--- A condition that fibers of one thread wait for.
---@return iocp.Condition
function iocp.Condition() end

--- What fibers of one thread wait for, until another one signals it. For that thread alone.
---@class iocp.Condition
local condition = {}

--- Waits until it is signalled.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, string? message, iocp.Code? code TIMEOUT, CANCELLED
function condition:wait(ms) end

--- Wakes those that have waited longest.
---@param n integer? how many at most; nil: one
---@return integer # how many were woken
function condition:signal(n) end

--- Wakes all.
---@return integer # how many were woken
function condition:broadcast() end

---@alias iocp.FiberStatus "scheduled"|"running"|"waiting"|"completed"|"failed"|"cancelled"

--- A coroutine that waits over its thread's port, and reads as if it blocked. For that thread alone.
---@class iocp.Fiber
local fiber = {}

--- Waits for its end; again and again.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, any ... results; or a message with traceback, the code ERROR or CANCELLED, and the error value;
--- also TIMEOUT, CANCELLED (the fiber that waits), INVALID: it waits for itself
function fiber:wait(ms) end

--- The same at once.
---@return true|nil, any ... as wait; TIMEOUT: it has not ended
function fiber:result() end

--- Has its waits return CANCELLED, the one it is in and all to come. Before it has begun it never runs.
---@param how "hard"? they raise an error
---@return boolean # true; false: it had ended
function fiber:cancel(how) end

--- How it does.
---@return iocp.FiberStatus
function fiber:status() end

--- The name it was given, or where its function was written.
---@return string
function fiber:name() end

---@class iocp.StreamOptions
---@field timeout? number milliseconds that each operation takes at most, also connect itself
---@field max_line? integer bytes of a line, default 1048576
---@field max_unsent? integer bytes that may be unsent before a writer waits, default 65536
---@field linger? number milliseconds that close goes on sending, default 5000
---@field nodelay? boolean whether small writes are sent at once, default true

---@class iocp.ListenOptions : iocp.StreamOptions
---@field backlog? integer how many clients wait to be accepted
---@field reuseport? boolean several servers share the port's clients

--- Connects to the host's addresses in turn, 250 ms apart, until one answers. The waits of streams, servers and
--- datagram sockets yield in a fiber, and block elsewhere.
---@param host string a name, or digits; or the path of a unix socket, which has a slash
---@param port? integer|string a number, or a service's name
---@param options? iocp.StreamOptions
---@return iocp.Stream|nil stream, string? message, iocp.Code? code ECONNREFUSED, EAI_NONAME, TIMEOUT, CANCELLED ...
function iocp.connect(host, port, options) end

--- Listens.
---@param host string "*" for any address, of inet and inet6; a name, or digits; or the path of a unix socket, which has
--- a slash
---@param port? integer|string a number (0, default: the system chooses), or a service's name
---@param options? iocp.ListenOptions those of the streams too
---@return iocp.Server|nil server, string? message, iocp.Code? code EADDRINUSE, EADDRNOTAVAIL, EACCES ...
function iocp.listen(host, port, options) end

--- A socket for datagrams.
---@param host? string digits; "*" or nil for any
---@param port? integer 0..65535, 0 or nil: the system chooses
---@param options? {timeout: number?, broadcast: boolean?} timeout: milliseconds that each operation takes at most
---@return iocp.Datagram|nil datagram, string? message, iocp.Code? code EADDRINUSE, EADDRNOTAVAIL, EACCES ...
function iocp.datagram(host, port, options) end

--- A connection that is read and written as a file is. For the thread that made it alone. One that was dropped is
--- closed when it is collected, as file streams, servers and datagram sockets are; IOCP_DEBUG=1 tells of it.
---@class iocp.Stream
local stream = {}

--- Reads. A read that fails has read nothing. One fiber at a time: another one's read is an error. The end is nil,
--- alone.
---@param format? string|integer "l" (default): a line without its end, "\n" or "\r\n"; "L": as it is; "a": all until
--- the end; each also with a star; how many bytes
---@return string|nil data, string? message, iocp.Code? code TIMEOUT, CANCELLED, CLOSED, EMSGSIZE: the line is too long;
--- ECONNRESET ...
function stream:read(format) end

--- Reads what is there, waiting only for the first byte. The end is nil, alone.
---@param max? integer bytes at most, from 1 on
---@return string|nil data, string? message, iocp.Code? code as read
function stream:read_some(max) end

--- Iterates until the end, a cancel, or until the connection is lost. Raises TIMEOUT and EMSGSIZE.
---@param format? string|integer as read
---@return fun(): string|nil
function stream:lines(format) end

--- Writes strings and numbers; each call is whole among others'. Waits while too much is unsent. One that failed or
--- timed out after part of it went out ends the write side: EPIPE from then on.
---@param ... string|number
---@return iocp.Stream|nil stream, string? message, iocp.Code? code TIMEOUT, CANCELLED, CLOSED, EPIPE, ECONNRESET ...
function stream:write(...) end

--- Waits until the system has all that was written.
---@return iocp.Stream|nil stream, string? message, iocp.Code? code as write
function stream:flush() end

--- Ends the write side behind what was written, or the read side.
---@param side? "write"|"read" "write" if left out
---@return true|nil, string? message, iocp.Code? code CLOSED, ENOTCONN
function stream:shutdown(side) end

--- Closes, again and again: sends what was written for as long as the option linger says, also in a cancelled fiber;
--- then what is unsent is dropped, and the peer told so by a reset.
---@return true
function stream:close() end

--- Goes on in TLS, by LuaSec; not on Windows. With a name, or mode "client", this is the client's side: the name is
--- sent, and the certificate's chain (to cafile's, capath's, or the system's) and name are verified, unless verify is
--- "none". Without one it is the server's, with key and certificate. From here on a write waits for the system, and
--- shutdown is an error.
---@param context table|userdata what LuaSec's newcontext takes (capath "/etc/ssl/certs" if left out), or what that gave
---@param name? string the server's, which it is told; nil: this is the server
---@return iocp.Stream|nil stream, string? message, iocp.Code? code EPROTO: the peer is not who it is to be, or speaks
--- no TLS; ECONNRESET, TIMEOUT, CANCELLED ...
function stream:starttls(context, name) end

--- How long each operation takes at most from now on.
---@param ms number|nil milliseconds from 0 on; nil: for ever
---@return iocp.Stream
function stream:timeout(ms) end

--- The other end, also after the stream's end.
---@return string|nil host, integer? port
function stream:peer() end

--- Its own address; of a unix socket path, 0.
---@return string|nil host, integer|string port, iocp.Code? code INVALID: it is closed
function stream:address() end

---@class iocp.FileStreamOptions
---@field timeout? number milliseconds that each operation takes at most
---@field max_line? integer bytes of a line, default 1048576
---@field max_unsent? integer bytes of a pipe that may be unsent before a writer waits, default 65536
---@field linger? number milliseconds that close goes on writing, default 5000

--- Opens a file as a stream. That itself may wait for the device, without others running.
---@param path string|iocp.File in UTF-8; or a file that is associated with nothing, and is the stream's from then on:
--- a process' pipes, File.pipe()
---@param mode? string of a path: as iocp.File
---@param options? iocp.FileStreamOptions
---@return iocp.FileStream|nil stream, string? message, iocp.Code? code ENOENT, EACCES ...
function iocp.open_file(path, mode, options) end

--- Reads all that a file holds.
---@param path string in UTF-8
---@return string|nil data, string? message, iocp.Code? code ENOENT, EACCES ...
function iocp.read_file(path) end

--- Makes that all that a file holds, or adds it.
---@param path string in UTF-8
---@param data string
---@param mode? string "w" if left out; "a": behind what it holds; "wx": of a file that is not there yet ...
---@return true|nil, string? message, iocp.Code? code ENOENT, EACCES, ENOSPC ...
function iocp.write_file(path, data, mode) end

--- A file, a pipe or a terminal that is read and written as the io library's are. For the thread that made it alone.
---@class iocp.FileStream
local file_stream = {}

--- As a stream's; a line's end is "\n" alone. At the end of a file that grows the next read goes on. The end is nil,
--- alone.
---@param format? string|integer "l" (default), "L", "a", each also with a star; how many bytes
---@return string|nil data, string? message, iocp.Code? code TIMEOUT, CANCELLED, CLOSED, EMSGSIZE: the line is too long;
--- EIO ...
function file_stream:read(format) end

--- Reads what is there, waiting only for the first byte. The end is nil, alone.
---@param max? integer bytes at most, from 1 on
---@return string|nil data, string? message, iocp.Code? code as read
function file_stream:read_some(max) end

--- Iterates until the end, a cancel, or the stream's close. Raises what fails.
---@param format? string|integer as read
---@return fun(): string|nil
function file_stream:lines(format) end

--- Writes strings and numbers at the file's place, in mode a to its end; each call is whole among others'.
---@param ... string|number
---@return iocp.FileStream|nil stream, string? message, iocp.Code? code ENOSPC, EPIPE, TIMEOUT, CANCELLED, CLOSED ...
function file_stream:write(...) end

--- Waits until the system has all that was written.
---@return iocp.FileStream|nil stream, string? message, iocp.Code? code as write
function file_stream:flush() end

--- Says where the next read or write is to be; tells where that is, in bytes from the file's start.
---@param whence? "set"|"cur"|"end" "cur" if left out
---@param offset? integer bytes, 0 if left out
---@return integer|nil place, string? message, iocp.Code? code ESPIPE: a pipe or terminal has none; EINVAL, CLOSED
function file_stream:seek(whence, offset) end

--- Closes, behind what was written.
---@return true|nil, string? message, iocp.Code? code ENOSPC ...: what was written is not all there
function file_stream:close() end

--- How long each operation takes at most from now on.
---@param ms number|nil milliseconds from 0 on; nil: for ever
---@return iocp.FileStream
function file_stream:timeout(ms) end

--- A listening socket whose clients are streams. For the thread that made it alone.
---@class iocp.Server
local server = {}

--- Waits for the next client. One whose connection has come is never lost: the next accept has it.
---@param ms? number milliseconds from 0 on; nil for ever
---@return iocp.Stream|nil stream, string? message, iocp.Code? code TIMEOUT, CANCELLED, CLOSED, EMFILE: no descriptor is
--- left; the next accept waits for one
function server:accept(ms) end

--- Iterates until the server is closed or the fiber cancelled. What else keeps one client from being accepted is told
--- once on the error output.
---@return fun(): iocp.Stream|nil
function server:clients() end

--- Nobody can connect any more; streams go on.
---@return true
function server:close() end

--- Where it listens; of a unix socket path, 0.
---@return string|nil host, integer|string port, iocp.Code? code INVALID: it is closed
function server:address() end

--- A socket for datagrams whose waits yield in a fiber. For the thread that made it alone.
---@class iocp.Datagram
local datagram = {}

--- Waits for the next datagram.
---@return string|nil data, string host, integer|iocp.Code port TIMEOUT, CANCELLED, CLOSED, EMSGSIZE: it was cut
function datagram:receive() end

--- Sends one.
---@param data string
---@param host string digits
---@param port integer 0..65535
---@return true|nil, string? message, iocp.Code? code TIMEOUT, CANCELLED, CLOSED, EINVAL: no address; EMSGSIZE ...
function datagram:send(data, host, port) end

--- How long each operation takes at most from now on.
---@param ms number|nil milliseconds from 0 on; nil: for ever
---@return iocp.Datagram
function datagram:timeout(ms) end

--- As socket:option.
---@param name string
---@param ... any
---@return any value, string? message, iocp.Code? code INVALID: it is closed; ENOPROTOOPT ...
function datagram:option(name, ...) end

--- Closes.
---@return true
function datagram:close() end

--- Its own address.
---@return string|nil host, integer|string port, iocp.Code? code INVALID: it is closed
function datagram:address() end

---@class iocp.ServeOptions : iocp.ListenOptions
---@field host? string as listen's, default "*"
---@field port? integer|string 0 (default): the system chooses
---@field workers? integer how many threads, default as many as processors
---@field handler fun(client: iocp.Stream, worker: {number: integer, stopping: boolean}) called in a fiber of a worker
--- for each connection, which is closed when it has ended; crosses to the threads
---@field max? integer how many connections there are at most; others wait
---@field on_error? "log"|"keep"|fun(message: string, about: {fiber: string, value: any}) what becomes of handlers'
--- errors, "log" if left out; with "keep" nothing, since nobody can ask for them

--- Serves what connects to one place, with threads that each have a scheduler. A connection stays in its thread.
---@param options iocp.ServeOptions
---@return iocp.Service|nil service, string? message, iocp.Code? code EADDRINUSE, EADDRNOTAVAIL, EACCES, NOMEM ...
function iocp.serve(options) end

--- Threads that serve one place, each with a scheduler. For the thread that made it alone.
---@class iocp.Service
local service = {}

--- Ends it: nobody can connect any more, and connections go on until their handlers have ended, or the time has passed.
---@param ms? number milliseconds from 0 on; nil: for ever
---@return true|nil, string? message, iocp.Code? code TIMEOUT: some were cancelled, and have ended; CANCELLED: the
--- caller was, or the first worker, without which nobody is served; ERROR: that had failed, as was told at once
function service:stop(ms) end

---@class iocp.ServiceStats
---@field connections integer those that there are
---@field accepted integer those that there were
---@field workers {connections: integer, accepted: integer}[] the same of each

--- Counts of what it does.
---@return iocp.ServiceStats
function service:stats() end

--- Where it serves; of a unix socket path, 0.
---@return string|nil host, integer port
function service:address() end

---@class iocp.PortOptions
---@field concurrency? integer how many threads work on its packets at a time: as the number that may stand here instead
---@field capacity? integer from 1 on: enqueue, enqueue_many and send need room, which there is while fewer packets are
--- queued than that. What I/O, timers, notifications and pools post passes it
---@field on_full? "wait"|"refuse" where there is none: "wait" (default) for it, first come, first served, a thread
--- without its place at its port, in a fiber while others run; or FULL at once
---@field wait? number milliseconds after which a wait gives up, with FULL; nil: never

---@class iocp.IOCompletionPortClass
---@overload fun(concurrency: integer|iocp.PortOptions|nil): iocp.IOCompletionPort|nil, string?, iocp.Code?
--- A new port. concurrency: how many threads may work on its packets at a time, 0..2^32-1, default and 0: the number of
--- processors; or options. NOMEM. Source: Microsoft's CreateIoCompletionPort.
local IOCompletionPort = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.IOCompletionPort|nil, string? message, iocp.Code? code INVALID
function IOCompletionPort.open(handle) end

--- One more reference, by what native() gave. On Windows also a port over a HANDLE of other code, which is never closed
--- here, and through which no messages are sent; its owner's CloseHandle closes the port.
---@param native iocp.Address
---@return iocp.IOCompletionPort|nil, string? message, iocp.Code? code INVALID
function IOCompletionPort.adopt(native) end

---@class iocp.PortStats
---@field capacity integer 0: it has none
---@field queued integer packets
---@field peak integer the most that were ever queued
---@field posted integer ever
---@field dequeued integer ever
---@field waiting integer threads in a get
---@field active integer threads that count against the limit
---@field released integer threads that would, but block
---@field concurrency integer the limit
---@field closed boolean whether it is
---@field sees_blocking boolean false: no /proc, so only waits of this module and iocp.blocking let others in

--- A queue of packets: any thread posts, any thread takes. It crosses as a reference.
---@class iocp.IOCompletionPort
---@operator len: integer packets queued
local port = {}

--- Posts a packet; never blocks, but for a port with a capacity. Source: Microsoft's PostQueuedCompletionStatus.
---@param key iocp.Address the completion key, mostly a block's address
---@param bytes integer? 0..2^32-1, default 0
---@param overlapped iocp.Address? never dereferenced
---@return true|nil, string? message, iocp.Code? code CLOSED, NOMEM: nothing is queued; with a
--- capacity also FULL, ABANDONED, CANCELLED
function port:enqueue(key, bytes, overlapped) end

--- Posts all keys of an array, in order and in one step, or none (on Windows, whose kernel takes one at a time, those
--- before the one that fails are posted); to a port with a capacity one after the other, as far as there is room.
--- Returns how many were posted.
---@param keys iocp.Address[]
---@param bytes integer? of each packet: 0..2^32-1, default 0
---@param overlapped iocp.Address? of each packet
---@return integer|nil count, string? message, iocp.Code? code CLOSED, NOMEM; with a capacity as enqueue, if none was
function port:enqueue_many(keys, bytes, overlapped) end

--- A packet that is to come: what enqueue_after and every notify give.
---@class iocp.Timer
local timer = {}

--- Has the packet never arrive; of a signal, none any more. From any thread.
---@return boolean # true: it never will; false: it was posted, or cancelled, before
function timer:cancel() end

--- Posts a packet once `ms` have passed. The timer is pending though it is collected, and keeps the port until then; a
--- port that is closed by then, or is closed already, gets nothing. Source: Microsoft's CreateTimerQueueTimer.
---@param ms number milliseconds from 0 on
---@param key iocp.Address
---@param bytes integer? 0..2^32-1, default 0
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM, or the system's number: the thread that waits
--- cannot be made
function port:enqueue_after(ms, key, bytes, overlapped) end

--- Posts one packet with 0 bytes to the port `target` when dequeue(0) would find something in this one, at once if it
--- would now in the calling thread; or when this one is closed. It says "look", no more: threads parked here come
--- first, and who finds nothing asks again. Source: Microsoft's RegisterWaitForSingleObject.
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code INVALID: this target is to be told already; NOMEM
function port:notify(target, key, overlapped) end

--- A descriptor, the port's own, that poll, epoll and other event loops find readable while packets are queued, I/O of
--- the port's sockets is ready, or the port is closed. Then dequeue(0) until it times out, which it may at once where
--- another thread looked first: go on polling.
---@return integer|nil descriptor, string? message, iocp.Code? code INVALID: not on Windows
function port:pollfd() end

--- What cqueues asks of a pollable object, besides pollfd: for what to poll.
---@return "r"
function port:events() end

--- What cqueues asks of a pollable object: when to look without an event.
---@return nil
function port:timeout() end

--- Takes the oldest packet, waiting for one if there is none. Of several waiting threads the one that came last is
--- served first. Source: Microsoft's GetQueuedCompletionStatus. Of an I/O that failed nil, message, its code, and
--- behind it key, bytes, overlapped. Of what send posted nil, message, MESSAGE, and behind it the values.
---@param ms number? milliseconds from 0 on; nil for ever
---@return iocp.Address|nil key, integer|string bytes, iocp.Address|iocp.Code|nil overlapped TIMEOUT, CLOSED, ABANDONED,
--- CANCELLED, NOMEM. A packet without an overlapped has nil
function port:dequeue(ms) end

--- Takes up to max packets, those that are there; waits only for the first. Source: Microsoft's
--- GetQueuedCompletionStatusEx. The batch is flat: key, bytes, overlapped, key ... The bytes of an I/O that failed are
--- negative: iocp.describe.
---@param max integer 1..715827882
---@param ms number? milliseconds from 0 on; nil for ever
---@param batch table? is filled and returned; what stood in it behind 3 * n stays. nil: a new one
---@return table|nil batch, integer|string n, iocp.Code? code as dequeue
function port:dequeue_many(max, ms, batch) end

--- for key, bytes, overlapped in port:packets() do: until the port closes or the calling thread is cancelled; else it
--- raises. Bytes are those of dequeue_many. What was taken is handed out before the loop ends. What a loop that is left
--- has not used goes back to the head of the queue (on Windows, whose kernel appends, behind it): at once from Lua 5.4
--- on, else when the state waits for something else (for a heap that another thread has locked: in lock), or garbage is
--- collected.
---@param batch integer? how many to take at once, default 1
---@return fun(): iocp.Address?, integer?, iocp.Address?
function port:packets(batch) end

--- Posts values, as a packet that receive takes; never blocks, but for a port with a capacity. They are copied before
--- the port is touched.
---@param ... iocp.Value
---@return true|nil, string? message, iocp.Code? code CLOSED, NOMEM: nothing is sent; with a
--- capacity also FULL, ABANDONED, CANCELLED
function port:send(...) end

--- Takes the oldest message, as dequeue takes a packet, and rebuilds its values.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, any ... the values; or message, code as dequeue; RAW, and behind it key, bytes, overlapped: a
--- packet that enqueue posted; INVALID: the message needs a module, metatable or type that this state does not know,
--- and is dropped
function port:receive(ms) end

--- Takes up to max messages; waits only for the first. Each is a table { n = how many, values ... }. One with a code is
--- none: RAW with key, bytes, overlapped, or INVALID with a text.
---@param max integer 1 to 16384
---@param ms number? milliseconds from 0 on; nil for ever
---@return table[]|nil messages, integer|string n, iocp.Code? code as dequeue
function port:receive_many(max, ms) end

--- The values of a message that dequeue_many or packets of this state met as a packet, whose overlapped is
--- iocp.MESSAGE; once. (dequeue gives them at once.)
---@param key iocp.Address the packet's
---@return true|nil, any ... the values; or message, INVALID: none of this port's, or unpacked before
function port:unpack(key) end

--- Closes, again and again: waiters return ABANDONED, later calls CLOSED, queued packets are dropped (the blocks they
--- name stay with their heap), the handle is dead for ever. Source: Microsoft's CloseHandle.
---@return true
function port:close() end

--- The port's name in text, to be passed on: "0x" and 16 digits; also a number, tonumber(handle).
---@return string
function port:handle() end

--- For C hosts and the FFI: on Linux the address of the C object of iocp.h, on Windows the kernel's HANDLE.
---@return iocp.Address|nil, string? message, iocp.Code? code CLOSED
function port:native() end

--- Counts of what it has and did.
---@return iocp.PortStats
function port:stats() end

---@class iocp.AtomicClass
---@overload fun(initial: integer?): iocp.Atomic|nil, string?, iocp.Code?
--- An integer that threads share, 0 without `initial`; it crosses as a reference. NOMEM. Source: C11's stdatomic.h,
--- WaitOnAddress, futex(2).
local Atomic = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.Atomic|nil, string? message, iocp.Code? code INVALID
function Atomic.open(handle) end

--- From Lua 5.3 on any 64-bit integer, and sums go on at the smallest behind the largest; elsewhere from -(2^53-1) to
--- 2^53-1, and what would leave that is refused, with INVALID, and changes nothing. What happens to one, and to
--- several, has one order for all threads.
---@class iocp.Atomic
local atomic = {}

--- Its value. On LuaJIT this, set, add, sub and compare_exchange compile.
---@return integer|nil value, string? message, iocp.Code? code INVALID: a C host has put there what no number is
function atomic:get() end

--- Makes it that.
---@param value integer in the range of the atomics here
---@return true
function atomic:set(value) end

--- Its name in text, for open in another state: "0x" and 16 digits.
---@return string
function atomic:handle() end

--- Adds. Returns what it is now.
---@param by integer in the range of the atomics here
---@return integer|nil value, string? message, iocp.Code? code INVALID: that would leave the range, and it is as it was
function atomic:add(by) end

--- Subtracts. Returns what it is now.
---@param by integer in the range of the atomics here
---@return integer|nil value, string? message, iocp.Code? code INVALID: as add
function atomic:sub(by) end

--- Makes it that. Returns what it was.
---@param value integer in the range of the atomics here
---@return integer|nil value, string? message, iocp.Code? code INVALID: as get
function atomic:exchange(value) end

--- Makes it `value` where it is `expected`.
---@param expected integer
---@param value integer
---@return boolean done true: it was; false: it was something else, and stays
---@return integer|nil found what it was
function atomic:compare_exchange(expected, value) end

--- Makes it `value` where that is larger.
---@param value integer
---@return integer|nil value what it is now
function atomic:max(value) end

--- Makes it `value` where that is smaller.
---@param value integer
---@return integer|nil value what it is now
function atomic:min(value) end

--- Waits while it is `expected`, until a wake: look again then, and wait again if need be. A thread that waits counts
--- at no port meanwhile; in a fiber others run. Source: WaitOnAddress, futex(2).
---@param expected integer
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, string? message, iocp.Code? code TIMEOUT, CANCELLED, NOMEM
function atomic:wait(expected, ms) end

--- Wakes those threads that have waited longest, and every fiber and port that waits. Who changes the value calls it
--- behind that.
---@param n integer? threads at most; nil: all that wait
---@return integer # how many threads
function atomic:wake(n) end

--- Posts one packet with 0 bytes at the next wake, at once if it is not `expected`: as thread:notify.
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@param expected integer
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM
function atomic:notify(target, key, overlapped, expected) end

---@class iocp.DictOptions
---@field maximum? integer bytes, from 1 on, that all entries may take, with some 150 for each besides its key and
--- value: what was used the longest time ago goes for what is to come in

---@class iocp.DictClass
---@overload fun(options: iocp.DictOptions?): iocp.Dict|nil, string?, iocp.Code?
--- A dictionary that threads share; it crosses as a reference. NOMEM. Source: OpenResty's lua_shared_dict.
local Dict = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.Dict|nil, string? message, iocp.Code? code INVALID
function Dict.open(handle) end

---@class iocp.DictStats
---@field count integer keys
---@field bytes integer that they take
---@field maximum integer 0: there is none
---@field evicted integer keys that had to go for others, ever
---@field expired integer keys that went as their time had passed, ever

--- Keys are strings, values whatever crosses, as copies. Each call on a key happens at one moment, in one order for all
--- threads; none waits for a thread that runs Lua but get_or_set for another one's. A dictionary in itself does not
--- keep itself, two in each other keep both.
---@class iocp.Dict
local dict = {}

--- Its name in text, for open in another state: "0x" and 16 digits.
---@return string
function dict:handle() end

--- The value of a key.
---@param key string
---@return iocp.Value # nil: there is none, or its time has passed
function dict:get(key) end

--- Puts a value there, in the place of another.
---@param key string
---@param value iocp.Value nil deletes
---@param ms number? for how long, in milliseconds; nil: for good
---@return true|nil, string? message, iocp.Code? code NOMEM: out of memory, or the entry alone would pass the maximum
function dict:set(key, value, ms) end

--- Puts a value there if there is none.
---@param key string
---@param value iocp.Value not nil
---@param ms number? for how long, in milliseconds; nil: for good
---@return true|nil, string? message, iocp.Code? code EXISTS, NOMEM
function dict:add(key, value, ms) end

--- Puts a value there if there is one.
---@param key string
---@param value iocp.Value not nil
---@param ms number? for how long, in milliseconds; nil: for good
---@return true|nil, string? message, iocp.Code? code MISSING, NOMEM
function dict:replace(key, value, ms) end

--- Deletes a key.
---@param key string
---@return boolean # whether there was one
function dict:delete(key) end

--- Whether there is a value.
---@param key string
---@return boolean
function dict:exists(key) end

--- Adds to a number, which lives as long as it was to.
---@param key string
---@param by number what is added
---@param initial number? what it is added to where there is none
---@param ms number? for how long the sum is there then, in milliseconds; nil: for good
---@return number|nil sum, string? message, iocp.Code? code MISSING: there is none, and no initial one; INVALID: it is
--- no number; NOMEM
function dict:incr(key, by, initial, ms) end

--- All keys, in no order.
---@return string[]|nil keys, string? message, iocp.Code? code NOMEM
function dict:keys() end

--- How many keys there are.
---@return integer
function dict:count() end

--- Deletes all that is there.
---@return true
function dict:flush() end

--- Counts of what it has and did.
---@return iocp.DictStats
function dict:stats() end

--- The value; where there is none what f returns, which is put there. One caller in all threads computes, the others
--- wait, a thread without its place at its port, in a fiber while others run. An error of f is this call's, and the
--- next one that waits computes. What somebody else puts there meanwhile stays, and is the result. A call within f for
--- the same key raises.
---@param key string
---@param f fun(key: string): iocp.Value, number? the value, nil for none, which puts nothing there, and for how many
--- milliseconds, if not ms
---@param ms number? for how long, in milliseconds; nil: for good
---@return iocp.Value value, string? message, iocp.Code? code CANCELLED, NOMEM; TIMEOUT: in a fiber
function dict:get_or_set(key, f, ms) end

--- Puts what f returns in the place of the value, and calls it again if that has changed meanwhile. Returns the new
--- one.
---@param key string
---@param f fun(value: iocp.Value, key: string): iocp.Value, number? the new value, nil deletes, and for how many
--- milliseconds, if not as long as the old one
---@return iocp.Value value, string? message, iocp.Code? code NOMEM
function dict:update(key, f) end

---@alias iocp.Element "double"|"float"|"int8"|"uint8"|"int16"|"uint16"|"int32"|"uint32"|"int64"

---@class iocp.ArrayClass
---@overload fun(type: iocp.Element, n: integer): iocp.Array|nil, string?, iocp.Code?
--- n numbers of one type, 1..2^31-1, all 0, in memory that threads share; it crosses as a reference. NOMEM.
local Array = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.Array|nil, string? message, iocp.Code? code INVALID
function Array.open(handle) end

--- An element is read and written in one step; nothing else is ordered: who reads what another thread writes learns
--- from a packet, a task's end or an atomic that it is there. An int64 beyond 2^53 is rounded where Lua has no
--- integers.
---@class iocp.Array
---@operator len: integer elements that it has
local array = {}

--- Its name in text, for open in another state: "0x" and 16 digits.
---@return string
function array:handle() end

--- What its elements are.
---@return iocp.Element
function array:type() end

--- An element. Another index than those raises, here and below.
---@param index integer from 1 to its length
---@return number
function array:get(index) end

--- Writes an element. A value that the type does not hold raises.
---@param index integer from 1 to its length
---@param value number for a type of integers one in its range
---@return true
function array:set(index, value) end

--- Makes elements that.
---@param value number for a type of integers one in its range
---@param first integer? default 1
---@param last integer? default its length
---@return true
function array:fill(value, first, last) end

--- Copies from[first .. last] to self[to ...]; parts of one array may overlap.
---@param from iocp.Array|number[] an array of the same type, or a list
---@param first integer? default 1
---@param last integer? default the length
---@param to integer? default 1
---@return true
function array:copy(from, first, last, to) end

--- A list of elements.
---@param first integer? default 1
---@param last integer? default its length
---@return number[]
function array:list(first, last) end

--- What reads and writes the elements as a table does, from 1 to the length, and raises outside of that. On LuaJIT
--- loops over it compile to loads and stores, and a value is converted as C does it; elsewhere it calls get and set. It
--- keeps the array, and does not cross.
---@param first integer? the element that is its first one; default 1
---@param last integer? default its length; not less than first
---@return number[]
function array:view(first, last) end

---@class iocp.HeapClass
---@overload fun(initial: integer?, maximum: integer?): iocp.Heap|nil, string?, iocp.Code?
--- A new heap. initial: bytes to map ahead; maximum: bytes that its blocks may take together, whole blocks of the
--- allocator counted, 0 for no limit. NOMEM. Source: Microsoft's HeapCreate; Bonwick and Adams, "Magazines and Vmem".
local Heap = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.Heap|nil, string? message, iocp.Code? code INVALID
function Heap.open(handle) end

--- One more reference, by what native() gave; on Windows also a heap over a HANDLE of other code, which is never
--- destroyed here.
---@param native iocp.Address
---@return iocp.Heap|nil, string? message, iocp.Code? code INVALID
function Heap.adopt(native) end

--- The process' own heap, the same in every thread; it cannot be destroyed. Source: Microsoft's GetProcessHeap.
---@return iocp.Heap|nil, string? message, iocp.Code? code NOMEM
function Heap.process() end

---@class iocp.HeapStats
---@field blocks integer live ones
---@field bytes integer as asked for
---@field peak_bytes integer the most that they ever were
---@field reserved integer bytes of address space

--- All functions of a heap return INVALID once it is destroyed, and CANCELLED if the calling thread is cancelled while
--- it waits for a thread that holds lock().
---@class iocp.Heap
local heap = {}

--- A block, 16-byte aligned. Source: Microsoft's HeapAlloc.
---@param size integer bytes, 0 allowed
---@param zero boolean? true clears it
---@return iocp.Address|nil address, string? message, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:alloc(size, zero) end

--- Resizes, moving the block if need be; on failure it is as it was, and to shrink there is always memory. Source:
--- Microsoft's HeapReAlloc.
---@param address iocp.Address? nil allocates
---@param size integer bytes, 0 allowed
---@param zero boolean? true clears what is new
---@return iocp.Address|nil address, string? message, iocp.Code? code NOMEM, INVALID as free, CANCELLED
function heap:realloc(address, size, zero) end

--- Frees a block that any thread allocated. Source: Microsoft's HeapFree.
---@param address iocp.Address? nil is fine
---@return true|nil, string? message, iocp.Code? code INVALID: freed before, foreign, not a block's start, or in use: an
--- operation of a socket or file has it until its packet; CANCELLED
function heap:free(address) end

--- The bytes asked for. Source: Microsoft's HeapSize.
---@param address iocp.Address
---@return integer|nil size, string? message, iocp.Code? code INVALID, CANCELLED
function heap:size(address) end

--- Writes a string's bytes into a block.
---@param address iocp.Address
---@param string string
---@param offset integer? bytes from the block's start, default 0
---@return true|nil, string? message, iocp.Code? code INVALID, also past the block's end; CANCELLED
function heap:write(address, string, offset) end

--- Bytes of a block.
---@param address iocp.Address
---@param offset integer? bytes from the block's start, default 0
---@param length integer? bytes; default: to the block's end
---@return string|nil content, string? message, iocp.Code? code INVALID, also past the block's end; CANCELLED
function heap:read(address, offset, length) end

--- A new block with the bytes of a string.
---@param string string
---@return iocp.Address|nil address, integer|string size, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:put(string) end

--- The content of a block, which is freed.
---@param address iocp.Address
---@return string|nil content, string? message, iocp.Code? code INVALID as free, CANCELLED
function heap:take(address) end

--- A new block with values. It is sealed: damage is found. It holds no references to the objects in it.
---@param ... iocp.Value
---@return iocp.Address|nil address, integer|string size, iocp.Code? code NOMEM, INVALID, CANCELLED
function heap:encode(...) end

--- The values of a block that encode made; the block stays.
---@param address iocp.Address
---@return any ... the values; or nil, message, INVALID: no such block, damaged, an object is gone, it needs what
--- this state does not know
function heap:decode(address) end

--- The peer that a datagram's block begins with: in its first iocp.PEER bytes. With a host, digits, and a port it is
--- set, for send_to.
---@param address iocp.Address
---@param host string?
---@param port integer? 0..65535
---@return string|true|nil host true: it was set
---@return integer|string|nil port or message
---@return iocp.Code? code INVALID: no block, or too small; EINVAL: no such address, or none in the block
function heap:peer(address, host, port) end

--- Whether a live block starts there; without an address, whether the heap is in order. Source: Microsoft's
--- HeapValidate.
---@param address iocp.Address?
---@return boolean
function heap:validate(address) end

--- for address, size in heap:walk() do: the live blocks as of the call. Source: Microsoft's HeapWalk.
---@return fun(): iocp.Address?, integer?
function heap:walk() end

--- Keeps all other threads out until as many unlocks; the end of the thread unlocks. Source: Microsoft's HeapLock.
---@return true|nil, string? message, iocp.Code? code CANCELLED, INVALID
function heap:lock() end

--- Takes back one lock. Source: Microsoft's HeapUnlock.
---@return true|nil, string? message, iocp.Code? code INVALID: this thread does not hold it
function heap:unlock() end

--- Counts of what it has.
---@return iocp.HeapStats|nil, string? message, iocp.Code? code INVALID
function heap:stats() end

--- Frees every block and gives the memory back; all later use is INVALID. A heap that nobody destroys is destroyed with
--- its last reference. Source: Microsoft's HeapDestroy.
---@return true|nil, string? message, iocp.Code? code INVALID: destroyed before, or the process' own
function heap:destroy() end

--- As port:handle.
---@return string
function heap:handle() end

--- As port:native.
---@return iocp.Address|nil, string? message, iocp.Code? code INVALID: it was destroyed
function heap:native() end

---@class iocp.ThreadOptions
---@field body string|function what runs: a text of Lua, or a function, whose upvalues are copied
---@field name string? for debuggers and tracebacks; at most 63 bytes, none of them 0
---@field stack integer? C stack in bytes, from 262144 on; default 2 MiB
---@field suspended boolean? true: it waits for resume(), and whoever joins it, too
---@field affinity integer[]? the numbers of the processors it may run on, from 0 on. INVALID: one does not exist, or
--- the process may run on none of these
---@field priority integer? -2 to 2: steps below or above the thread that makes it (Linux: 5 of nice each, for this
--- thread alone; who may not go up gets the system's number)

---@class iocp.ThreadClass
---@overload fun(body: string|function|iocp.ThreadOptions, ...: iocp.Value): iocp.Thread|nil, string?, iocp.Code?
--- Starts a thread that calls body(...) in a state of its own. body: Lua text, or a function, whose upvalues are
--- copied; or options. NOMEM, INVALID (affinity), or the system's number. Source: Microsoft's CreateThread.
local Thread = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.Thread|nil, string? message, iocp.Code? code INVALID
function Thread.open(handle) end

--- One more reference, by what native() gave.
---@param native iocp.Address
---@return iocp.Thread|nil, string? message, iocp.Code? code INVALID
function Thread.adopt(native) end

--- A thread with a Lua state of its own. Any thread may have it, as a reference.
---@class iocp.Thread
local thread = {}

--- Waits for the end; again and again. A thread cannot join itself, and the wait for a suspended one that nobody
--- resumes has no end. Source: Microsoft's WaitForSingleObject.
---@param ms number? milliseconds from 0 on; nil for ever
---@return true|nil, any ... the body's results; of a body that failed message with traceback, ERROR or CANCELLED, and
--- the error value itself if it can cross. Also message, TIMEOUT or CANCELLED: the thread that waits was
function thread:join(ms) end

--- Posts one packet with 0 bytes when the thread has ended, at once if it has; also when a suspended one is dropped.
--- The port is kept until then, and gets nothing if it is closed by then. Source: Microsoft's
--- RegisterWaitForSingleObject.
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM
function thread:notify(target, key, overlapped) end

--- How it does; "cancelled": it was cancelled, and ended by an error.
---@return "suspended"|"running"|"finished"|"failed"|"cancelled"
function thread:status() end

--- From now on every wait of this module in that thread returns CANCELLED, the one it is in included. With "hard" it is
--- cancelled also where that fails: no signal is free, or a filter of system calls is in the way.
---@param how "hard"? also raises an error in running Lua code, in a coroutine too, whatever pcall catches (a coroutine
--- that another C module resumed goes on until it gives way)
---@return true|nil, string? message, iocp.Code? code the system's number: its code is not interrupted
function thread:cancel(how) end

--- Starts a thread that was created suspended. Source: Microsoft's ResumeThread.
---@return true|nil, string? message, iocp.Code? code INVALID: started before; NOMEM or the system's number
function thread:resume() end

--- The system's number, nil before the start.
---@return integer?
function thread:id() end

--- The name it was given, up to 63 bytes of it; Linux shows 15.
---@return string
function thread:name() end

--- As port:handle.
---@return string
function thread:handle() end

--- As port:native.
---@return iocp.Address
function thread:native() end

-- ---- Socket ------------------------------------------------------------------------------------------------------

--- When it is done, an operation sends one packet to the port its socket is associated with: the socket's key, the
--- bytes, this. An address: this very one. nil: the usual one, which each operation says. false: the usual one, but
--- what is done at once returns its bytes and sends no packet.
---@alias iocp.Overlapped iocp.Address|false|nil

--- EAFNOSUPPORT and so on, as of I/O that failed, from all functions that ask the system.
---@class iocp.SocketClass
---@overload fun(family: ("inet"|"inet6"|"unix")?, type: ("stream"|"datagram")?): iocp.Socket|nil, string?, iocp.Code?
--- A new socket. family: default inet; inet6 takes inet's peers too; unix not on Windows. type: default stream.
--- EAFNOSUPPORT, NOMEM, EMFILE. Source: Microsoft's WSASocketW, socket(2).
local Socket = {}

--- One more reference: the same userdata, as long as this state has one.
---@param handle iocp.Handle
---@return iocp.Socket|nil, string? message, iocp.Code? code INVALID
function Socket.open(handle) end

--- The socket by what native() gave, or a new one over a descriptor of other code (Windows: a SOCKET), which is never
--- closed here, nor made non-blocking. Its owner closes it after close().
---@param native iocp.Address
---@return iocp.Socket|nil, string? message, iocp.Code? code INVALID: no socket
function Socket.adopt(native) end

--- Two stream sockets that are connected to each other. Source: socketpair(2).
---@return iocp.Socket|nil, iocp.Socket|string, iocp.Code? code EMFILE, NOMEM
function Socket.pair() end

--- All methods return INVALID once it is closed, operations before it is associated, and CLOSED after its port is.
---@class iocp.Socket
local socket = {}

--- What its operations complete to, once for good. From then on it stays open until close(), or its port's end, also
--- when every userdata is collected. Source: Microsoft's CreateIoCompletionPort.
---@param port iocp.IOCompletionPort
---@param key iocp.Address? of its packets; default: its handle, as a number
---@return true|nil, string? message, iocp.Code? code INVALID: it is associated already; CLOSED
function socket:associate(port, key) end

--- Gives it its own address. Source: bind(2).
---@param host string? in digits ("127.0.0.1", "::1", "fe80::1%eth0"), "*" or nil for any; of a unix socket its path
---@param port integer? 0..65535, 0 (default): the system chooses
---@return true|nil, string? message, iocp.Code? code EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL ...
function socket:bind(host, port) end

--- From now on it takes connections. Source: listen(2).
---@param backlog integer? how many connections wait to be accepted; 0 (default): the system's most
---@return true|nil, string? message, iocp.Code? code EINVAL: it is connected; EADDRINUSE, INVALID
function socket:listen(backlog) end

--- The next connection becomes the client. Any number may be pending. When it is done the client is associated, with
--- its handle as key. Source: Microsoft's AcceptEx.
---@param client iocp.Socket a fresh one: not bound, connected or associated
---@param overlapped iocp.Overlapped usual: the client's handle
---@param port iocp.IOCompletionPort|false|nil the client's; nil: the listener's; false: none yet
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: the client is not fresh; EMFILE
function socket:accept(client, overlapped, port) end

--- Connects. Source: Microsoft's ConnectEx.
---@param host string digits; of a unix socket its path
---@param port integer? 0..65535
---@param overlapped iocp.Overlapped usual: none
---@return true|integer|nil started, string? message, iocp.Code? code ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENOENT;
--- EAGAIN: a unix socket's backlog is full
function socket:connect(host, port, overlapped) end

--- Receives into a live block of any heap, which is busy until the packet: completes with what is there; 0 bytes: the
--- stream's end. Source: Microsoft's WSARecv.
---@param address iocp.Address
---@param size integer? at most so many bytes, 1..2^31-2; default: to the block's end
---@param overlapped iocp.Overlapped usual: the address
---@param at integer? where in the block, bytes from its start
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: no such block, busy, too small;
--- ECONNRESET
function socket:receive(address, size, overlapped, at) end

--- Sends from a block, or a string, which is copied; completes when the system has taken all of it. Of a string the
--- usual overlapped is none. Source: Microsoft's WSASend.
---@overload fun(self: iocp.Socket, text: string, overlapped?: iocp.Overlapped): true|integer|nil, string?, iocp.Code?
---@param address iocp.Address
---@param size integer? bytes, 1..2^31-2; default: to the block's end
---@param overlapped iocp.Overlapped usual: the address
---@param at integer? where in the block, bytes from its start
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: no such block, busy, too small; EPIPE,
--- ECONNRESET
function socket:send(address, size, overlapped, at) end

--- Sends a part of a file, which stays open until the packet; it ends early where the file does. Source: Microsoft's
--- TransmitFile, sendfile(2).
---@param file userdata|iocp.Address an open file of the io library, or a descriptor (Windows: a HANDLE)
---@param offset integer bytes from its start
---@param size integer bytes, 1..2^31-2
---@param overlapped iocp.Overlapped usual: none
---@return true|integer|nil started, string? message, iocp.Code? code EPIPE, ECONNRESET, EBADF
function socket:send_file(file, offset, size, overlapped) end

--- A datagram: the block's first iocp.PEER bytes become the peer, the data lie behind, and the packet's bytes count
--- them. One that was cut: EMSGSIZE, with the bytes that are there. Source: Microsoft's WSARecvFrom.
---@param address iocp.Address
---@param size integer? bytes of data at most, 0..65535; default: what the block has
---@param overlapped iocp.Overlapped usual: the address
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: no such block, busy, too small
function socket:receive_from(address, size, overlapped) end

--- Sends the data behind a peer's address to that peer. Source: Microsoft's WSASendTo.
---@param address iocp.Address
---@param size integer? bytes of data, 0..65535; default: what the block has
---@param overlapped iocp.Overlapped usual: the address
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: no such block, busy, too small; EMSGSIZE
function socket:send_to(address, size, overlapped) end

--- Completes, with 0 bytes, when a read or a write would not wait, also for the end or an error. Source: poll(2).
---@param side "read"|"write"
---@param overlapped iocp.Overlapped usual: none
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: it is closed, or not associated; CLOSED:
--- its port is
function socket:ready(side, overlapped) end

--- Asks operations to stop; each still sends its packet: ECANCELED, or done if it won. Source: Microsoft's CancelIoEx.
---@param overlapped iocp.Address? those that have it; nil: all
---@return integer count how many were asked
function socket:cancel(overlapped) end

--- Ends writing, behind what was sent before, or reading: what waits to receive ends with 0 bytes. Source: shutdown(2).
---@param side ("read"|"write")? nil: both
---@return true|nil, string? message, iocp.Code? code ENOTCONN
function socket:shutdown(side) end

--- Its own address; of a unix socket the path, or "", and 0. Source: getsockname(2).
---@return string|nil host, integer|string port, iocp.Code? code INVALID
function socket:address() end

--- The peer's. Source: getpeername(2).
---@return string|nil host, integer|string port, iocp.Code? code ENOTCONN
function socket:peer() end

---@alias iocp.SocketOption
---| "nodelay"
---| "keepalive"
---| "reuseaddr"
---| "reuseport"
---| "broadcast"
---| "linger"
---| "sndbuf"
---| "rcvbuf"
---| "v6only"
---| "join"
---| "leave"

--- Sets an option, or tells it. nodelay reuseaddr reuseport broadcast v6only: booleans; keepalive: false or the seconds
--- without traffic until the peer is asked, linger: false or seconds, 0 resets; sndbuf rcvbuf: bytes. option("join" or
--- "leave", group [, through]) for multicast, through an interface by its address (inet) or number (inet6).
---@param name iocp.SocketOption
---@param value boolean|integer|string|nil nil tells it
---@param through string|integer|nil
---@return boolean|integer|nil value true: it was set
---@return string? message
---@return iocp.Code? code ENOPROTOOPT, EOPNOTSUPP, EINVAL ...
function socket:option(name, value, through) end

--- Closes: operations are cancelled, each sends its packet; what is unsent is dropped: close after the last send's
--- packet. The handle is dead for ever. Source: closesocket, close(2).
---@return true|nil, string? message, iocp.Code? code INVALID: it was closed before
function socket:close() end

--- As port:handle.
---@return string
function socket:handle() end

--- The descriptor, on Windows the SOCKET.
---@return integer|nil native, string? message, iocp.Code? code INVALID: it is closed
function socket:native() end

-- ---- File --------------------------------------------------------------------------------------------------------

---@alias iocp.FileMode
---| "r"
---| "w"
---| "a"
---| "r+"
---| "w+"
---| "a+"
---| "wx"
---| "ax"
---| "w+x"
---| "a+x"

--- What a file is.
---@class iocp.FileInfo
---@field type "file"|"directory"|"pipe"|"terminal"|"device"|"other" what it is
---@field size integer bytes; 0 of what has no size
---@field permissions integer POSIX' nine bits; Windows: 438 (0666), or 292 (0444) if it is read-only
---@field links integer the names that it has; 0: it was removed
---@field modified number when it was written last: seconds since 1970, in UTC
---@field accessed number when it was read last, in the same
---@field id string the same for the same file, and no other

--- ENOENT, EACCES and so on, as of I/O that failed, from all functions that ask the system.
---@class iocp.FileClass
---@overload fun(path: string, mode: iocp.FileMode?): iocp.File|nil, string?, iocp.Code?
--- Opens a file, always binary. mode: "r" (default) reads; "w" writes, and empties or makes it; "a" writes at its end,
--- and makes it; "+": reads and writes; "x": it must not exist. Children do not inherit it. The path is UTF-8. A FIFO
--- is
--- opened at once. ENOENT, EACCES, EEXIST, EISDIR, EMFILE; ENXIO: nobody reads the FIFO yet. Source: Microsoft's
--- CreateFileW, open(2).
local File = {}

--- One more reference: the same userdata, as long as this state has one.
---@param handle iocp.Handle
---@return iocp.File|nil, string? message, iocp.Code? code INVALID
function File.open(handle) end

--- The file by what native() gave, or a new one over an open file of other code (of the io library, or a descriptor; on
--- Windows a HANDLE), which is never closed or changed here. Its owner closes it after close().
---@param native userdata|iocp.Address
---@return iocp.File|nil, string? message, iocp.Code? code INVALID: nothing is open there
function File.adopt(native) end

--- What is written to the second is read from the first. Source: pipe(2), Microsoft's CreateNamedPipeW.
---@return iocp.File|nil reader, iocp.File|string writer, iocp.Code? code EMFILE, NOMEM
function File.pipe() end

--- A file without a name, for reading and writing, which is gone with its last reference. Source: open(2), O_TMPFILE.
---@return iocp.File|nil, string? message, iocp.Code? code EACCES, EMFILE, ENOSPC ...
function File.temporary() end

--- All methods return INVALID once it is closed, operations before it is associated, and CLOSED after its port is.
---@class iocp.File
local file = {}

--- As socket:associate.
---@param port iocp.IOCompletionPort
---@param key iocp.Address? of its packets; default: its handle, as a number
---@return true|nil, string? message, iocp.Code? code INVALID: it is associated already; CLOSED
function file:associate(port, key) end

--- Reads into a live block of any heap, which is busy until the packet. Less than `size`: the file ends there; 0 bytes:
--- it ends before. Pipes and terminals give what is there. Source: Microsoft's ReadFile, pread(2).
---@param address iocp.Address
---@param size integer? bytes, 1..2^31-2; nil: to the block's end
---@param offset integer? bytes from the file's start; nil: of pipes and terminals, where it is ignored
---@param overlapped iocp.Overlapped usual: the address
---@param at integer? where in the block, bytes from its start
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: no such block, busy, too small
function file:read(address, size, offset, overlapped, at) end

--- Writes a block, or a string, which is copied; completes when the system has taken all of it. Of a string the usual
--- overlapped is none. One that fails comes with the bytes that were written. Source: Microsoft's WriteFile, pwrite(2).
---@overload fun(self: iocp.File, text: string, at: integer?, o: iocp.Overlapped): true|integer|nil, string?, iocp.Code?
---@param address iocp.Address
---@param size integer? bytes, 1..2^31-2; nil: to the block's end
---@param offset integer? bytes from the file's start; nil: in mode a, of pipes and terminals, where it is ignored
---@param overlapped iocp.Overlapped usual: the address
---@param at integer? where in the block, bytes from its start
---@return true|integer|nil started, string? message, iocp.Code? code INVALID: no such block, busy, too small; ENOSPC,
--- EFBIG, EDQUOT; EPIPE
function file:write(address, size, offset, overlapped, at) end

--- Completes, with 0 bytes, when the device has what the writes wrote whose packets had come before. Source:
--- Microsoft's FlushFileBuffers, fdatasync(2).
---@param overlapped iocp.Overlapped usual: none
---@return true|integer|nil started, string? message, iocp.Code? code EINVAL: a pipe; EIO, ENOSPC
function file:sync(overlapped) end

--- How large it is. Source: fstat(2), Microsoft's GetFileSizeEx.
---@return integer|nil bytes, string? message, iocp.Code? code INVALID: it is closed
function file:size() end

--- Makes it shorter, or longer, by zeroes. Source: ftruncate(2).
---@param size integer bytes
---@return true|nil, string? message, iocp.Code? code EINVAL, EFBIG ...
function file:truncate(size) end

--- What it is. Source: fstat(2), Microsoft's GetFileInformationByHandle.
---@return iocp.FileInfo|nil, string? message, iocp.Code? code INVALID: it is closed
function file:info() end

--- Asks operations to stop; each still sends its packet: ECANCELED, or done if it won. What a device is busy with
--- already is not counted. Source: Microsoft's CancelIoEx.
---@param overlapped iocp.Address? those that have it; nil: all
---@return integer count how many were asked
function file:cancel(overlapped) end

--- Closes: operations are cancelled, each sends its packet. The handle is dead for ever. Source: Microsoft's
--- CloseHandle, close(2).
---@return true|nil, string? message, iocp.Code? code INVALID: it was closed before
function file:close() end

--- As port:handle.
---@return string
function file:handle() end

--- The descriptor, on Windows the HANDLE.
---@return integer|nil native, string? message, iocp.Code? code INVALID: it is closed
function file:native() end

-- ---- Pool --------------------------------------------------------------------------------------------------------

--- Runs in the worker where the task failed.
---@alias iocp.OnError fun(message: string, about: {pool: string, task: string, worker: integer})

---@class iocp.PoolOptions
---@field workers? integer|integer[] 0..100000; default: as many as processors. Two of them: the least and the most
---@field idle? number with two: ms that one more than the least waits for a task before it ends; default 10000
---@field concurrency? integer how many of them work at a time, 0..2^32-1; 0 (default): as many as processors
---@field name? string of its threads, and in messages; at most 63 bytes, none of them 0, as all names here
---@field stack? integer bytes of a worker's C stack; from 262144 on; default 2 MiB
---@field affinity? "spread"|integer[] the processors that workers may run on, a list of their numbers from 0 on; or
--- each has one of those that the caller may run on, and shares it with as few as can be
---@field thread_priority? integer -2 to 2: steps below or above the thread that makes the pool, as a thread's priority
---@field init? fun(): any each worker calls it first; what it returns is the state that tasks may ask for
---@field fini? fun(state: any) each worker calls it last, with what init returned, unless it dies
---@field tasks_per_worker? integer how many one runs before another takes its place, from 1 on
---@field fresh? boolean each task has a new Lua state
---@field grace? number ms that code has to leave which a hard cancel has ended; default 100
---@field on_error_here? iocp.OnError called in the state that makes the pool, at its next call that waits for it
---@field on_error? "keep"|"log"|"raise"|iocp.OnError what becomes of failures, besides being kept by their task
---@field logger? fun(text: string) for "log", called in the worker; default: standard error
---@field replace? boolean whether a worker that died is replaced; default true. One whose init failed never is
---@field queue_limit? integer how many tasks may be queued by submit from outside the pool, 1..1000000
---@field queue_wait? number ms that submit waits for room; default for ever

---@class iocp.PoolClass
---@overload fun(options?: integer|iocp.PoolOptions): iocp.Pool|nil, string?, iocp.Code?
--- A new pool: of so many workers, 0..100000, nothing: as many as there are processors; or with options. NOMEM,
--- INVALID:
--- no such processor; or the system's number.
local PoolClass = {}

--- One more reference.
---@param handle iocp.Handle
---@return iocp.Pool|nil, string? message, iocp.Code? code INVALID: also of one that nobody refers to any more
function PoolClass.open(handle) end

--- The open pool that has this name in the process, in whatever state; the first who asks makes it. Any thread may.
---@param name string 1 to 63 bytes
---@param options? integer|iocp.PoolOptions without a name; they say nothing if the pool is there
---@return iocp.Pool|nil, string? message, iocp.Code? code as Pool: NOMEM, INVALID, or the system's number
function PoolClass.named(name, options) end

--- The stats of all named pools, a table by name.
---@param format? "json" the same as a text
---@return table<string, iocp.PoolStats>|string
function PoolClass.status(format) end

--- Where a worker runs: its pool and its number; else nil.
---@return iocp.Pool?, integer? worker
function PoolClass.current() end

--- Workers in a loop over one port. Source: "Using IOCP for Worker Threads" (DelphiTools).
---@class iocp.Pool
local pool = {}

--- As port:handle.
---@return iocp.Handle
function pool:handle() end

--- A function that crosses to each worker once; a chunk; "module:function"; or a table with a name for messages and
--- traces, and worker = true to be called with what init returned first.
---@alias iocp.Work function|string|iocp.Treated

--- A function, and how a task that calls it is treated.
---@class iocp.Treated
---@field body function|string as above
---@field name? string for messages and traces; at most 63 bytes
---@field worker? boolean whether it is called with what init returned first
---@field timeout? number ms from when it is submitted, or due, until it has ended, 0.001 to 1e15: else with TIMEOUT
---@field hard? boolean with a timeout: ends the worker, too, as cancel("hard")
---@field retries? integer how often it runs again if it fails, 0 to 1e9
---@field backoff? number ms before it runs again, each time twice as much, 0 to 1e15; default 0
---@field priority? "high"|"normal"|"low" high ones overtake what is queued, low ones give way; nobody starves
---@field jit? boolean false: LuaJIT leaves it to its interpreter, so that "hard" comes into its loops

--- Queues a call of f(...) in a worker. A function crosses to a worker once, not once a task; each worker keeps its
--- copy, upvalues included; upvalues that have changed are noticed at the next submit.
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code CLOSED, NOMEM; TIMEOUT: the queue is full (queue_limit);
--- CANCELLED, while it waits for room
function pool:submit(f, ...) end

--- As submit, for who asks for nothing: there is no task, and what f returns is dropped. It counts, and fails, as any:
--- an error goes where that of a task goes that nobody waits for, to on_error, or once to the error output.
---@param f iocp.Work
---@param ... iocp.Value
---@return true|nil, string? message, iocp.Code? code as submit
function pool:post(f, ...) end

--- As submit, later.
---@param ms number milliseconds, 0 to 1e15
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code as submit, or the system's number: the thread for timers
--- cannot be made
function pool:submit_after(ms, f, ...) end

--- First after ms, then each ms, until a run fails or the task is cancelled. Runs of one task never overlap; times that
--- one run takes too long for are left out. The failure that ends it is told on the error output at once, unless
--- somebody waits for the task then.
---@param ms number milliseconds, 0.001 to 1e15
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code as submit_after
function pool:submit_every(ms, f, ...) end

--- A task that is not submitted: task:after, then task:submit.
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code NOMEM
function pool:task(f, ...) end

--- What a loop calls its function with, and what counts of what that returns.
---@class iocp.CallOptions
---@field args? any[] what comes behind item and index; with nils in it, n says how many
---@field index? boolean whether the index comes behind the item (true, not of parallel_for and reduce)
---@field results? "first"|"all" all: a table of them with n; of imap they come one behind the other
---@field name? string of its tasks, for messages and traces

---@class iocp.LoopOptions: iocp.CallOptions
---@field chunk? integer items in a task, from 1 on
---@field errors? "raise"|"collect" the first error cancels the rest and is raised; or all are collected (not by reduce)
---@field timeout? number ms that all of it may take, from 0 on
---@field progress? boolean|fun(done: integer, total: integer, ms: number) true: a bar on a terminal, else lines

--- The results of f(item, index), in order: the first of each, unless results = "all". A list with a hole is an error.
--- Raises the first error, which cancels the rest: the value, or of a text the message with its item. With errors =
--- "collect" also the messages, with tracebacks, and the error values, both by index, with holes: next(errors) is nil
--- if all went well.
---@param list any[]|fun(): any an iterator is read to its end first
---@param f iocp.Work
---@param options? iocp.LoopOptions
---@return any[]|nil results, table|string? errors, table|iocp.Code? values CLOSED, CANCELLED, TIMEOUT: the queue is
--- full of others' tasks
function pool:map(list, f, options) end

--- f(i) for i = from, to, step. What is collected is by i.
---@overload fun(self: iocp.Pool, from: number, to: number, f: iocp.Work, options?: iocp.LoopOptions): true|nil
---@param from number the first
---@param to number at most, or at least, the last
---@param step number not 0; may be left out, for 1
---@param f iocp.Work
---@param options? iocp.LoopOptions
---@return true|nil, table|string? errors, table|iocp.Code? values as map
function pool:parallel_for(from, to, step, f, options) end

---@class iocp.ImapOptions: iocp.CallOptions
---@field ordered? boolean in the order of the input (default), or as they come
---@field window? integer tasks that are under way, or whose results nobody has taken; default 4 for each worker
---@field chunk? integer items in a task; default 1
---@field timeout? number ms that all of it may take, from 0 on; then it raises
---@field errors? "raise"|"collect" the first one cancels the rest and is raised; or each result comes behind true

--- For a for-loop: index and result of f(item, index), as they come. It may be left at any time: what is left is
--- cancelled by close, on Lua 5.4 where the loop is left, else once it is collected. Inside a fiber the others run
--- meanwhile (on Lua 5.1 only if it is called, not by a for-loop). Its thread's alone.
---@param input any[]|fun(): any an iterator, called in this thread, gives items until nil
---@param f iocp.Work
---@param options? iocp.ImapOptions
---@return iocp.Results results, nil, nil, iocp.Results closed where the loop is left
function pool:imap(input, f, options) end

--- What imap gives, to be called by a for-loop. For the thread that called it alone.
---@class iocp.Results
---@overload fun(): integer?, any ...
local results = {}

--- Cancels what is left, and waits until nothing of it runs.
---@return true
function results:close() end

--- The items combined with f(a, b), which must be associative: parts of the list in the workers, what came of them in
--- order in the caller.
---@param list any[]|fun(): any
---@param f iocp.Work without worker = true
---@param initial? any comes first
---@param options? iocp.LoopOptions collects no errors
---@return any result, string? message, iocp.Code? code as map
function pool:reduce(list, f, initial, options) end

--- Tasks that end together: waits for all that f has submitted; the first that does not complete, or an error of f,
--- cancels the others, and is raised when they have ended. Inside a fiber the others run meanwhile.
---@param f fun(scope: iocp.PoolScope): any ...
---@return any ... results of f, or nil, message, code CANCELLED (who waits)
function pool:scope(f) end

--- Tasks that end together. For the thread that called pool:scope alone.
---@class iocp.PoolScope
local pool_scope = {}

--- As pool:submit, for a task of the scope.
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code as pool:submit
function pool_scope:submit(f, ...) end

--- Cancels what has not ended.
---@return true
function pool_scope:cancel() end

--- How many workers there are to be; with n sets it. Growing starts threads; shrinking posts as many quit packets
--- behind the queue.
---@param n? integer 0..100000
---@return integer|nil n, string? message, iocp.Code? code CLOSED, or the system's number
function pool:workers(n) end

--- No more tasks from outside; finishes the queue (not periodic tasks), and ends the workers. Not in one of them.
---@param ms? number milliseconds from 0 on; nil for ever
---@return true|nil, string? message, iocp.Code? code TIMEOUT: it goes on finishing; CANCELLED
function pool:shutdown(ms) end

--- Cancels what is queued, delayed or waits for others, and lets the workers end, and what runs. Waits for nothing.
---@return true
function pool:close() end

---@class iocp.Times
---@field mean number ms, as are the others
---@field p50 number within which half of them are, to an eighth
---@field p90 number within which 90 of 100 are
---@field p99 number within which 99 of 100 are

---@class iocp.PoolStats
---@field workers integer wanted
---@field live integer threads
---@field blocked integer workers that wait for a task
---@field dead integer workers that ended otherwise than told
---@field queued integer tasks that a worker is to take
---@field active integer tasks that run
---@field delayed integer tasks that were submitted for later and have not begun
---@field waiting integer tasks that wait for those they are after
---@field peak_queued integer the most there were at a time
---@field peak_active integer the most there were at a time
---@field submitted integer tasks ever, each run of a periodic one apart: the sum of queued, active, delayed,
--- waiting, completed, failed and cancelled
---@field completed integer tasks ever
---@field failed integer tasks ever
---@field cancelled integer tasks ever
---@field wait_ms iocp.Times from when a task was to run until it began
---@field run_ms iocp.Times from when it began until it ended
---@field closed boolean no more tasks are taken

--- Counts of what it has and did.
---@return iocp.PoolStats
function pool:stats() end

--- Whether all that was submitted has ended.
---@return boolean
function pool:idle() end

--- From now on the peaks are those from now on.
---@return true
function pool:reset_peaks() end

--- The text of the last failure, with its traceback, or nil. Who asks has seen it, init's too: it is not told again.
---@return string?
function pool:last_error() end

--- Its name.
---@return string
function pool:name() end

--- Records what the workers do; called again it writes that to the file it was given first, as a trace that Perfetto
--- opens.
---@param path? string
---@return true|nil, string? message, iocp.Code? code ERROR: the file; INVALID: nothing is recorded
function pool:trace(path) end

--- A call that a worker makes. Any thread may have it, as a reference; not by encode.
---@class iocp.Task
local task = {}

--- Waits until it has ended; again and again. A worker runs a queued task of its own pool itself, on the spot.
---@param ms? number milliseconds from 0 on; nil for ever
---@return true|nil, any ... results; or message with traceback, ERROR or CANCELLED, and the error value if it can
--- cross. TIMEOUT: not yet, or, with the ms that it had in place of the value, it ran out of its time; INVALID: not
--- submitted (task:submit), or it waits for the task that calls
function task:wait(ms) end

--- As wait, at once.
---@return true|nil, any ... as wait; TIMEOUT: it has not ended
function task:result() end

--- Posts one packet with 0 bytes when the task has ended, at once if it has, of a periodic one when it is over: as
--- thread:notify.
---@param target iocp.IOCompletionPort
---@param key iocp.Address
---@param overlapped iocp.Address?
---@return iocp.Timer|nil timer, string? message, iocp.Code? code NOMEM
function task:notify(target, key, overlapped) end

--- How it does; "unscheduled" also while it waits for others.
---@return "unscheduled"|"scheduled"|"running"|"completed"|"failed"|"cancelled"
function task:status() end

--- Before it runs: it never runs. While it runs: its waits return CANCELLED and iocp.cancelled() is true. Returns false
--- if it had ended.
---@param how? "hard" also raises an error in it, which ends its worker (see replace)
---@return boolean|nil, string? message, iocp.Code? code the system's number: as of a thread
function task:cancel(how) end

--- Runs when these have completed; cancelled if one fails or is cancelled. Raises for a circle, and after submit.
---@param ... iocp.Task
---@return iocp.Task self
function task:after(...) end

--- Runs when all that it is after have completed.
---@param ms? number milliseconds from 0 on: so much later
---@return iocp.Task|nil self, string? message, iocp.Code? code CLOSED, NOMEM, CANCELLED
function task:submit(ms) end

--- A new task that calls f with this one's results, then the arguments, once this one has completed.
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code CLOSED, NOMEM
function task:then_(f, ...) end

--- A new task that calls f with message, code and error value of this one, then the arguments, if this one did not
--- complete; else it has this one's results. Of a then_ that was cancelled for it, the error of the first that failed.
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code CLOSED, NOMEM
function task:catch(f, ...) end

--- A new task that calls f with the arguments when this one has ended, and ends as this one, unless f fails.
---@param f iocp.Work
---@param ... iocp.Value
---@return iocp.Task|nil, string? message, iocp.Code? code CLOSED, NOMEM
function task:finally(f, ...) end

--- What it was named, or the file and line of its function, or "a C function".
---@return string
function task:name() end

return iocp
