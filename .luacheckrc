std = "max+busted"
max_line_length = false -- tools/columns.lua
self = false
exclude_files = { "build", "rocks" }
-- The article's listings stand as they were printed.
files["examples/AMSG.lua"] = { ignore = { ".*" } }
files["examples/workerthreads.lua"] = { ignore = { ".*" } }
-- Declarations for editors.
files["types"] = { ignore = { "211", "212", "241", "431" } }
