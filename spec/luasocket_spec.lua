-- iocp.luasocket: what luasocket's manual says holds for luasocket itself, and for what stands in for it, where no
-- fiber runs and where one does.
local iocp = require "iocp"
local checks = require "support.luasocket_checks"

local has_own, own = pcall(require, "socket.core")
local ours = require "iocp.luasocket"

describe("luasocket itself", function()
  for _, check in ipairs(checks) do
    it(check[1], function()
      if not has_own or own == ours then
        pending("there is none here")
        return
      end
      check[2](own)
    end)
  end
end)

describe("iocp.luasocket", function()
  for _, check in ipairs(checks) do
    it(check[1], function()
      check[2](ours)
    end)
  end

  for _, check in ipairs(checks) do
    it(check[1] .. ", in a fiber", function()
      iocp.run(function() check[2](ours) end)
    end)
  end
end)
