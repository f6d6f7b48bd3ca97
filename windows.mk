# The Windows test bed, included by the Makefile: everything is cross-built with mingw-w64 and runs under Wine.

WINDOWS_LUAS := luajit lua5.1 lua5.4
WINDOWS_CHOSEN = $(if $(LUA),$(or $(filter $(LUA),$(WINDOWS_LUAS)),$(error LUA=$(LUA) is none of: $(WINDOWS_LUAS))),\
	$(WINDOWS_LUAS))
WINDOWS_NEEDS = busted luarocks mingw wine $(if $(wildcard $(WINDOWS_SOURCES)/fetched),,dpkg-source) tap \
	$(if $(filter 10,$(WINE)),$(if $(wildcard $(WINDOWS)/wine10/ready),,debootstrap))
WINE ?= 8

MINGW := x86_64-w64-mingw32-
WINDOWS := $(BUILD)/windows
WINDOWS_SOURCES := $(WINDOWS)/source
WINDOWS_CFLAGS := -O2 -g
# What every DLL of ours needs of the compiler's own runtime is linked into it.
WINDOWS_LINK := -shared -static-libgcc
WINDOWS_CORE := $(wildcard src/core/*.c src/work/*.c src/windows/*.c src/windows/*/*.c)
WINDOWS_CORE_OBJECTS := $(WINDOWS_CORE:src/%.c=$(WINDOWS)/core/%.o)

dll_luajit := lua51.dll
dll_lua5.1 := lua51.dll
dll_lua5.4 := lua54.dll

.PHONY: test-windows run-windows rock-windows packages-windows $(addprefix build-windows-,$(WINDOWS_LUAS))

packages-windows:
	$(call need,lua5.4,$(WINDOWS_NEEDS))

test-windows: packages-windows ## the same specs on Windows' LuaJIT, 5.1 and 5.4 under Wine; WINE=10 for a newer one
	@$(MAKE) --no-print-directory -s -j4 $(addprefix build-windows-,$(WINDOWS_CHOSEN))
	@WINE=$(WINE) tools/windows-test $(WINDOWS_CHOSEN)

run-windows: packages-windows ## the article's program under Wine (MESSAGES=n)
	@$(MAKE) --no-print-directory -s -j4 build-windows-luajit
	@WINE=$(WINE) tools/windows-run $(if $(MESSAGES),$(MESSAGES),20000)

rock-windows: packages-windows ## the rock as luarocks builds it on Windows, used from another folder under Wine
	@$(MAKE) --no-print-directory -s -j4 build-windows-luajit build-windows-lua5.4 $(WINDOWS)/lib/workers.exe
	@WINE=$(WINE) tools/windows-rock

# ---- the C library: a program that imports from the DLL ----------------------------------------------------------

$(WINDOWS)/lib/iocp.dll: $(WINDOWS_CORE_OBJECTS)
	@mkdir -p $(@D)
	$(MINGW)gcc $(WINDOWS_CFLAGS) $(WINDOWS_LINK) -Wl,--out-implib,$(@D)/libiocp.dll.a -o $@ $^

$(WINDOWS)/lib/workers.exe: examples/c/workers.c src/iocp.h $(WINDOWS)/lib/iocp.dll
	$(MINGW)gcc $(WINDOWS_CFLAGS) -std=c11 $(WARNINGS) -Isrc -static-libgcc -o $@ $< -L$(@D) -liocp

# ---- the interpreters --------------------------------------------------------------------------------------------

$(WINDOWS_SOURCES)/fetched: tools/debian
	@tools/debian $(WINDOWS_SOURCES) here luajit lua5.1 lua5.4 lua-filesystem
	@touch $@

$(WINDOWS)/luajit/luajit.exe $(WINDOWS)/luajit/lua51.dll &: $(WINDOWS_SOURCES)/fetched
	@mkdir -p $(WINDOWS)/luajit
	$(MAKE) -C $(WINDOWS_SOURCES)/luajit/src HOST_CC=gcc CROSS=$(MINGW) TARGET_SYS=Windows CCDEBUG= \
		>$(WINDOWS)/luajit/log 2>&1 || { cat $(WINDOWS)/luajit/log; exit 1; }
	cp $(WINDOWS_SOURCES)/luajit/src/luajit.exe $(WINDOWS_SOURCES)/luajit/src/lua51.dll $(WINDOWS)/luajit

# PUC Lua's own "make mingw" does not cross-build.
define windows_puc
$(WINDOWS)/$(1)/$(1).exe $(WINDOWS)/$(1)/$(dll_$(1)) &: $(WINDOWS_SOURCES)/fetched
	@mkdir -p $(WINDOWS)/$(1)
	cd $(WINDOWS_SOURCES)/$(1)/src && $(MINGW)gcc -O2 -w -DLUA_BUILD_AS_DLL $$(WINDOWS_LINK) -o $(dll_$(1)) \
		$$$$(ls *.c | grep -v -x -e lua.c -e luac.c -e print.c)
	cd $(WINDOWS_SOURCES)/$(1)/src && $(MINGW)gcc -O2 -w -DLUA_BUILD_AS_DLL -static-libgcc -o $(1).exe lua.c $(dll_$(1))
	cp $(WINDOWS_SOURCES)/$(1)/src/$(1).exe $(WINDOWS_SOURCES)/$(1)/src/$(dll_$(1)) $(WINDOWS)/$(1)
endef
$(foreach lua,lua5.1 lua5.4,$(eval $(call windows_puc,$(lua))))

# ---- the module, and what the specs need -------------------------------------------------------------------------

$(WINDOWS)/core/%.o: src/%.c
	@mkdir -p $(@D)
	$(MINGW)gcc $(WINDOWS_CFLAGS) -Isrc $(WARNINGS) -MMD -MP -c -o $@ $<

define for_windows_lua
$(WINDOWS)/$(1)/obj/%.o: src/lua/%.c $(WINDOWS_SOURCES)/fetched
	@mkdir -p $$(@D)
	$(MINGW)gcc $$(WINDOWS_CFLAGS) -Isrc $$(WARNINGS) -MMD -MP -isystem $(WINDOWS_SOURCES)/$(1)/src -c -o $$@ $$<

$(WINDOWS)/$(1)/iocp/core.dll: $(BINDING:src/lua/%.c=$(WINDOWS)/$(1)/obj/%.o) $(WINDOWS_CORE_OBJECTS) \
		$(WINDOWS)/$(1)/$(dll_$(1))
	@mkdir -p $$(@D)
	$(MINGW)gcc $$(WINDOWS_CFLAGS) $$(WINDOWS_LINK) -o $$@ $$^

$(WINDOWS)/$(1)/lfs.dll: $(WINDOWS)/$(1)/$(dll_$(1))
	$(MINGW)gcc -O2 -w $$(WINDOWS_LINK) -I $(WINDOWS_SOURCES)/$(1)/src -o $$@ \
		$(WINDOWS_SOURCES)/lua-filesystem/src/lfs.c $$^

$(WINDOWS)/$(1)/spec_process.dll: spec/windows/process.c $(WINDOWS)/$(1)/$(dll_$(1))
	$(MINGW)gcc $$(WINDOWS_CFLAGS) $$(WARNINGS) $$(WINDOWS_LINK) -isystem $(WINDOWS_SOURCES)/$(1)/src -o $$@ $$^ -lpsapi

build-windows-$(1): $(addprefix $(WINDOWS)/$(1)/,$(1).exe lfs.dll spec_process.dll iocp/core.dll)
-include $$(wildcard $(WINDOWS)/$(1)/obj/*.d $(WINDOWS)/$(1)/obj/*/*.d)
endef
$(foreach lua,$(WINDOWS_LUAS),$(eval $(call for_windows_lua,$(lua))))
-include $(wildcard $(WINDOWS)/core/*/*.d $(WINDOWS)/core/*/*/*.d)
