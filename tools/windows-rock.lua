-- lua5.4 tools/windows-rock.lua LUA_VERSION INCLUDES LUA_DLL TREE: in a copy of the sources, builds the rock by
-- luarocks' own code for rocks of type builtin, told that it runs on Windows with mingw; only the compiler's name is
-- another, because it is a cross-compiler. What luarocks would install goes to TREE.
local lua_version, includes, dll, tree = (unpack or table.unpack)(arg)

-- First as on this system, for its way to handle files; then as on Windows, for all that is decided from then on.
local cfg = require "luarocks.core.cfg"
local detected = { lua_version = lua_version, lua_interpreter = "lua5.4", lua_bindir = "/usr/bin", lua_dir = "/usr" }
assert(cfg.init(detected))
local fs = require "luarocks.fs"
fs.init()
package.loaded["luarocks.core.hardcoded"] = { SYSTEM = "mingw", PROCESSOR = "x86_64" }
assert(cfg.init(detected))
assert(cfg.is_platform("mingw32") and cfg.variables.CC == "mingw32-gcc" and cfg.lib_extension == "dll")

cfg.variables.CC, cfg.variables.LD = "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-gcc"
cfg.variables.LUA_INCDIR = includes
cfg.variables.LUA_LIBDIR, cfg.variables.LUALIB = dll:match("^(.*)/([^/]*)$")

local path = require "luarocks.path"
path.use_tree(tree)
local fetch = require "luarocks.fetch"
local rockspec = assert(fetch.load_local_rockspec(fs.current_dir() .. "/rockspec/iocp-scm-1.rockspec"))
local supported = false
for _, name in ipairs(rockspec.supported_platforms) do
  supported = supported or cfg.is_platform(name)
end
assert(supported, "the rockspec does not say that it supports Windows")
assert(require("luarocks.build.builtin").run(rockspec, true))

-- As luarocks deploys them.
for name, source in pairs(rockspec.build.modules) do
  local is_lua = type(source) == "string"
  local target = (is_lua and path.deploy_lua_dir(tree) or path.deploy_lib_dir(tree)) .. "/" .. name:gsub("%.", "/")
  if not is_lua then
    source, target = path.module_to_path(name) .. name:match("[^.]*$") .. ".dll", target .. ".dll"
  else
    target = target .. ".lua"
  end
  fs.make_dir(target:match("^(.*)/"))
  assert(fs.copy(source, target))
end
