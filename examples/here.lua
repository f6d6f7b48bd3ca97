-- What this system has, and what a program that is to run on Windows and on Linux asks for, or does without.
--
--   lua examples/here.lua
local iocp = require "iocp"

local windows = package.config:sub(1, 1) == "\\"
print("system", windows and "Windows" or "another")

-- Paths: slashes work on both. A name for what is temporary is the system's business.
local path = os.tmpname()
assert(iocp.write_file(path, "line 1\nline 2\n")) -- as it stands: no \r is put in, none is taken out
print("bytes", #assert(iocp.read_file(path)))
os.remove(path)

-- A child process has no shell in between: arguments arrive as they are. What is a shell's own has to be asked for.
local echo = windows and { "cmd.exe", "/c", "echo", "hello", stdout = "pipe" } or { "echo", "hello", stdout = "pipe" }
local child = assert(iocp.Process(echo))
local output = assert(iocp.open_file(child.stdout))
print("child", (output:read():gsub("\r", ""))) -- cmd.exe ends its lines with \r\n
child:wait()

-- What one of them lacks says so by a code, and nothing else happens.
local unix, _, code = iocp.Socket("unix")
print("unix sockets", unix and "yes" or code)
local descriptor, _, why = iocp.IOCompletionPort():pollfd()
print("pollfd for other loops", descriptor and "yes" or why)
print("blocking calls are noticed", iocp.IOCompletionPort():stats().sees_blocking)

-- Signals have the same names; those that never come do no harm.
local port = iocp.IOCompletionPort()
for _, name in ipairs { "INT", "TERM", "HUP", "BREAK" } do
  assert(iocp.signal(name):notify(port, 1)):cancel()
end
print("signals", "INT TERM HUP BREAK")
