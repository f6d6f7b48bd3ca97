-- lua5.4 tools/rockspec.lua REPOSITORY [REVISION]: prints the rockspec of the release that the header names, which is
-- rockspec/iocp-scm-1.rockspec but for where it comes from: the tag vVERSION of that repository, an address that git
-- clones from. --tag prints that tag alone.
local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

local version = assert(read("src/iocp.h"):match('\n#define IOCP_VERSION "([%d.]+)"'))
local tag = "v" .. version
if arg[1] == "--tag" then
  print(tag)
  os.exit()
end
local repository, revision = arg[1], arg[2] or "1"
if not repository or repository == "" then
  io.stderr:write("Say where the release is to be had: make rockspec REPOSITORY=https://.../iocp\n")
  os.exit(1)
end

local text = read("rockspec/iocp-scm-1.rockspec")
-- Puts `lines` in the place of the only match.
local function replace(pattern, lines)
  local count
  text, count = text:gsub(pattern, (lines:gsub("%%", "%%%%")))
  assert(count == 1, pattern)
end
replace('\nversion = "scm%-1"\n%-%-[^\n]*\n', ('\nversion = "%s-%s"\n'):format(version, revision))
replace("\nsource = {.-\n}\n", ('\nsource = {\n  url = "git+%s",\n  tag = "%s",\n}\n'):format(repository, tag))
if repository:find("^https?:") then
  local page = repository:gsub("%.git$", "")
  replace('\n  license = "MIT",\n', ('\n  license = "MIT",\n  homepage = "%s",\n'):format(page))
end
io.write(text)
