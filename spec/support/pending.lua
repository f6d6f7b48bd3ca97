--- What cannot be shown everywhere: the specs in this table are pending where its fourth column says so. helper.lua
-- reads it. A row: the statement of the contract, the spec file, a piece of the spec's name, where, and why. Where:
-- "linux", "windows" (under Wine or not), "wine" (every version), "wine8", "wine10", "sanitizer", "scaled" (sanitizers
-- and Wine), "puc" (not LuaJIT), "lua5.1" and its like. With measure = true the spec runs, but what it measures is not
-- judged (support.measures). When a row is no longer needed nothing says so: now and then, run without it.
local BOOKS = "a sanitizer's own bookkeeping, or Wine's, is not ours to judge"

return {
  { 7, "scale", "a post says NOMEM", "wine", "Wine does not keep a process within its job's memory limit" },
  { 22, "port", "(22)", "wine8", "Wine 8 wakes waiting threads first-in first-out" },
  { 23, "port", "(23)", "wine8", "Wine 8 lets a poster take the packet that a waiting thread was woken for" },
  { 22, "socket_stress", "(22, 46)", "wine8", "Wine 8 wakes waiting threads first-in first-out" },
  { 22, "concurrency", "the hot thread", "wine8", "Wine 8 wakes waiting threads first-in first-out" },
  { 24, "concurrency", "(24)", "wine", "Wine does not look at the concurrency value" },
  { 25, "concurrency", "a thread keeps its slot (25)", "wine", "Wine does not look at the concurrency value" },
  { 24, "pool_wait", "one task at a time", "wine", "Wine does not look at the concurrency value" },
  { 26, "concurrency", "a thread that blocks lets another in (26)", "wine",
    "Wine lets it in anyway: this would show nothing" },
  { 27, "concurrency", "(27)", "wine", "Wine does not look at the concurrency value" },
  { 31, "heap", "of an initial size that no memory has", "wine", "Wine cuts a heap's initial size" },
  { "-", "messages", "make says", "windows", "there is no make" },
  { "-", "progress", "on a terminal", "windows", "a console's screen cannot be read by who started the process" },
  { "-", "scale", "without a system call each", "windows", "every get asks the kernel's port, and there is no strace" },
  { "-", "scale", "without a system call each", "sanitizer", "strace and a sanitizer do not go together" },
  { 7, "scale", "a post says NOMEM", "sanitizer", "a sanitizer needs more address space than is left here" },
  { 24, "pool", "than the pool's concurrency", "wine", "Wine does not look at the concurrency value" },
  { "-", "windows", "by LuaJIT's ffi", "puc", "only LuaJIT's ffi reaches the kernel's own ports and heaps" },
  { "-", "value", "is lightuserdata", "lua5.1", "nothing here makes lightuserdata in this Lua" },
  { 50, "socket_stress", "without descriptors", "windows", "Windows has no such limit" },
  { 7, "scale", "within 32 bytes a packet", "scaled", BOOKS, measure = true },
  { "-", "scale", "leave nothing behind:", "scaled", BOOKS, measure = true },
  { "-", "scale", "costs next to no CPU", "scaled", "a sanitizer or Wine takes some of its own", measure = true },
  { 31, "heap", "too large for any memory", "scaled",
    "ThreadSanitizer maps memory of its own for ours, and dies of this", measure = true },
  { "-", "heap", "takes no memory of its initial size", "scaled", BOOKS, measure = true },
  { 33, "heap", "gives the memory back", "scaled", BOOKS, measure = true },
  { "-", "resolve", "a resolver that", "windows", "spec/c/resolver.c takes the place of a function of Linux'" },
  { "-", "resolve", "a resolver that", "sanitizer", "a preloaded library and a sanitizer do not go together" },
  { "-", "signal_notify", "has Ctrl-Break", "linux", "Linux has no Ctrl-Break" },
  { "-", "signal_notify", "has Ctrl-Break", "wine", "Wine sends no handler a Ctrl-Break" },
  { 23, "notify", "to a thread that is parked", "wine8",
    "Wine 8 signals the port before the waiting thread takes its packet" },
  { "-", "notify", "leaves nothing behind", "scaled", BOOKS, measure = true },
  { "-", "timer", "takes 64 bytes at most", "scaled", BOOKS, measure = true },
  { "-", "parallel", "leaves nothing behind in workers", "scaled", BOOKS, measure = true },
  { "-", "pool_stress", "leaves nothing behind", "scaled", BOOKS, measure = true },
  { 52, "socket_stress", "take little memory", "scaled", BOOKS, measure = true },
  { 52, "socket_stress", "leave nothing behind", "scaled", BOOKS, measure = true },
}
