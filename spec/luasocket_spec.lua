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
  it("calls addresses as luasocket does", function()
    if not has_own or own == ours then
      pending("there is none here")
      return
    end
    for _, host in ipairs { "127.0.0.1", "localhost" } do
      assert.equal((own.dns.tohostname(host)), (ours.dns.tohostname(host)))
      assert.equal(own.dns.getnameinfo(host)[1], ours.dns.getnameinfo(host)[1])
    end
    local _, service = own.dns.getnameinfo("127.0.0.1", "80")
    assert.equal(service, (select(2, ours.dns.getnameinfo("127.0.0.1", "80"))))
  end)

  for _, check in ipairs(checks) do
    it(check[1], function()
      check[2](ours)
    end)
  end

  it("closes what another fiber sends through, which fails then", function()
    iocp.run(function()
      local listener, client, sent = ours.tcp(), ours.tcp(), nil
      assert(listener:bind("127.0.0.1", 0))
      assert(listener:listen())
      local _, port = listener:getsockname()
      assert(client:connect("127.0.0.1", port))
      local peer = assert(listener:accept())
      iocp.spawn(function() sent = { client:send(("x"):rep(2 ^ 25)) } end)
      iocp.sleep(100)
      assert.is_nil(sent)
      assert.equal(1, client:close())
      iocp.sleep(100)
      assert.equal("closed", sent and sent[2])
      peer:close()
      listener:close()
    end)
  end)

  for _, check in ipairs(checks) do
    it(check[1] .. ", in a fiber", function()
      iocp.run(function() check[2](ours) end)
    end)
  end
end)
