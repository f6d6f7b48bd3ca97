--- What cannot be shown everywhere: the specs in this table are pending where its fourth column says so. helper.lua
-- reads it. A row: the statement of the contract, the spec file, a piece of the spec's name, where, and why. Where:
-- "linux", "windows" (under Wine or not), "wine" (every version), "wine8", "wine10". When a row is no longer needed
-- nothing says so: now and then, run without it.
return {
  { 7, "scale", "a post says NOMEM", "wine", "Wine does not keep a process within its job's memory limit" },
  { 22, "port", "(22)", "wine8", "Wine 8 wakes waiting threads first-in first-out" },
  { 23, "port", "(23)", "wine8", "Wine 8 lets a poster take the packet that a waiting thread was woken for" },
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
}
