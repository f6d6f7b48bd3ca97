# iocp: `make help` lists the targets.

LUAS := luajit lua5.1 lua5.2 lua5.3 lua5.4 lua5.5
LUA ?=
CHOSEN := $(if $(LUA),$(LUA),$(LUAS))
ifneq ($(filter-out $(LUAS),$(LUA)),)
$(error LUA=$(LUA) is none of: $(LUAS))
endif

include_luajit ?= /usr/include/luajit-2.1
include_lua5.1 ?= /usr/include/lua5.1
include_lua5.2 ?= /usr/include/lua5.2
include_lua5.3 ?= /usr/include/lua5.3
include_lua5.4 ?= /usr/include/lua5.4
# Lua 5.5, which few systems have: tools/packages then builds one from Debian's newest sources.
OWN_LUA := $(CURDIR)/build/ports/lua5.5
include_lua5.5 ?= $(if $(wildcard /usr/include/lua5.5/lua.h),/usr/include/lua5.5,$(OWN_LUA)/include)
export PATH := $(PATH):$(OWN_LUA)/bin

CC ?= gcc
# A newer compiler's warnings are ours to mend, so tests fail by them, and not what users build.
WERROR ?=
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(WERROR)
CFLAGS ?= -O2 -g
BASE := -fPIC -Isrc $(WARNINGS) -MMD -MP
LIBRARIES := -lpthread -lm -ldl
LINK := -shared -Wl,-z,nodelete
# What is under src/native: linux, or posix, which is for macOS and the BSDs, and runs on Linux to be tested.
BACKEND ?= linux
BUILD := build$(if $(filter-out linux,$(BACKEND)),/$(BACKEND))

CORE := $(wildcard src/core/*.c src/work/*.c src/native/*.c src/native/*/*.c src/$(BACKEND)/*.c)
BINDING := $(wildcard src/lua/*.c src/lua/*/*.c)
# Of quotas, of barriers that the system makes, and of threads of which it says that they block: only Linux has them.
TESTS := $(filter-out $(if $(filter-out linux,$(BACKEND)),cgroup_test gate_test watch_test),\
	$(patsubst spec/c/%.c,%,$(wildcard spec/c/*_test.c)))

CORE_OBJECTS := $(CORE:src/%.c=$(BUILD)/core/%.o)

.PHONY: help run check-run examples others test ports sanitize soak model bench bench-net bench-file bench-http \
	bench-luasocket bench-remote bench-shared env rock lint picture doc clean packages c-tests lib install
.PHONY: install-lua rockspec
.PHONY: check-lib check-doc FORCE $(addprefix build-,$(LUAS))
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile windows.mk | expand -t 14
	@echo
	@echo "LUA=lua5.4 limits test, examples and env to one of: $(LUAS)"
	@echo "build-lua5.4 builds the module for that Lua below $(BUILD)/lua5.4"

# $(call need,LUA...,TOOL...): the compiler, these interpreters and tools are here, or are installed.
need = @CC="$(CC)" tools/packages compiler $(foreach lua,$(1),$(lua)=$(include_$(lua))) $(2)
FOR_SPECS := busted cmocka tap luasocket redis messagepack argparse

packages: ## install the Debian packages that all targets here need and this machine lacks
	$(call need,$(LUAS),$(FOR_SPECS) luacheck clang-format strace spin luarocks clang ldoc cmark-gfm node)

# ---- building ----------------------------------------------------------------------------------------------------

$(BUILD)/core/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -c -o $@ $<

define for_lua
$(BUILD)/$(1)/obj/%.o: src/lua/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(BASE) -isystem $$(include_$(1)) -c -o $$@ $$<

$(BUILD)/$(1)/iocp/core.so: $(BINDING:src/lua/%.c=$(BUILD)/$(1)/obj/%.o) $(CORE_OBJECTS)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LINK) -o $$@ $$^ $$(LIBRARIES)

# Nothing, where there is no such Lua.
build-$(1): $(if $(wildcard $(include_$(1))/lua.h),$(BUILD)/$(1)/iocp/core.so)
-include $$(wildcard $(BUILD)/$(1)/obj/*.d $(BUILD)/$(1)/obj/*/*.d)
endef
$(foreach lua,$(LUAS),$(eval $(call for_lua,$(lua))))
-include $(wildcard $(BUILD)/core/*/*.d $(BUILD)/core/*/*/*.d $(BUILD)/c/*.d)

$(BUILD)/c/%: spec/c/%.c $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -o $@ $(filter %.c %.o,$^) -lcmocka $(LIBRARIES)

$(BUILD)/c/embed_test: spec/c/embed_test.c $(BUILD)/lua5.4/iocp/core.so
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -isystem $(include_lua5.4) -DMODULE_PATH='"$(BUILD)/lua5.4"' -o $@ $< -lcmocka -llua5.4 \
		$(LIBRARIES)

# The example of a C program with Lua in its threads, linked with the module, which it finds where it was built.
$(LUAS:%=$(BUILD)/%/embed): $(BUILD)/%/embed: examples/c/embed.c $(BUILD)/%/iocp/core.so
	$(CC) $(CFLAGS) $(BASE) -isystem $(include_$*) -o $@ $< -L$(@D)/iocp -l:core.so \
		-l$(if $(filter luajit,$*),luajit-5.1,$*) -Wl,-rpath,'$$ORIGIN/iocp'

# The codec from inside, with Lua 5.4.
$(BUILD)/c/value_test: $(BUILD)/c/%: spec/c/%.c \
		$(BINDING:src/lua/%.c=$(BUILD)/lua5.4/obj/%.o) $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -isystem $(include_lua5.4) -o $@ $^ -lcmocka -llua5.4 $(LIBRARIES)

# What fails allocations, in place of the C library's for all that is linked here.
comma := ,
FAILING := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc free mmap munmap pthread_create \
	pthread_key_create pthread_setspecific)

$(BUILD)/failing_core: spec/c/failing_core.c spec/c/failing.c $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) $(FAILING) -o $@ $(filter %.c %.o,$^) $(LIBRARIES)

# With Lua 5.4, whose states that the library makes are spec/c/failing_lua.c's to make.
$(BUILD)/failing_lua: spec/c/failing_lua.c spec/c/failing.c $(BINDING:src/lua/%.c=$(BUILD)/lua5.4/obj/%.o) \
		$(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -isystem $(include_lua5.4) $(FAILING) -Wl,--wrap=luaL_newstate \
		-o $@ $(filter %.c %.o,$^) -llua5.4 $(LIBRARIES)

$(BUILD)/failing_core $(BUILD)/failing_lua: spec/c/failing.h src/iocp.h

# For the sanitizers, which set CFLAGS and BUILD.
$(BUILD)/host: spec/c/host.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -isystem $(include_lua5.4) -o $@ $< -llua5.4 $(LIBRARIES)

# A getaddrinfo that can be told what to do, in place of the C library's: linked, and to be preloaded.
$(BUILD)/c/resolve_test: spec/c/resolver.c

# Specs run programs by these two, of any build: they stand in one place, without a sanitizer.
build/c/resolver.so: spec/c/resolver.c
	@mkdir -p $(@D)
	$(CC) -O2 -g $(filter-out -MMD -MP,$(BASE)) -shared -o $@ $< -ldl

build/c/refuse: spec/c/refuse.c
	@mkdir -p $(@D)
	$(CC) -O2 -g $(filter-out -MMD -MP,$(BASE)) -o $@ $<

c-tests: $(TESTS:%=$(BUILD)/c/%) build/c/resolver.so build/c/refuse $(BUILD)/lua5.4/embed

# ---- using -------------------------------------------------------------------------------------------------------

run: ## the first article's program: 4 workers, 1,000,000 messages (MESSAGES=n)
	$(call need,luajit)
	@$(MAKE) --no-print-directory -s build-luajit
	@eval "$$($(MAKE) --no-print-directory -s env LUA=luajit)" && exec luajit examples/run.lua $(MESSAGES)

.PHONY: ready guide

# The module for one Lua, on a machine that may lack the compiler and that Lua. With both headers and compiler there
# nothing else is asked for: elsewhere than on Debian the interpreter may have another name.
ready:
	@[ -e '$(include_$(CHOSEN_ONE))/lua.h' ] && command -v $(CC) >/dev/null || \
		CC="$(CC)" tools/packages compiler $(CHOSEN_ONE)=$(include_$(CHOSEN_ONE))
	@$(MAKE) --no-print-directory -s build-$(CHOSEN_ONE)

CHOSEN_ONE = $(or $(LUA),luajit)

check-run:
	@$(MAKE) --no-print-directory run && echo "1 passed, 0 failed" || { echo "0 passed, 1 failed"; exit 1; }

examples: ## every example on LuaJIT and Lua 5.4 and 5.5, with small sizes; LUA=lua5.1 for one
	$(call need,$(EXAMPLES_ON),tap luv cqueues luasql busted redis messagepack dpkg-source)
	@$(MAKE) --no-print-directory -s -j4 $(addprefix build-,$(EXAMPLES_ON)) \
		$(patsubst %,$(BUILD)/%/embed,$(filter-out lua5.5,$(EXAMPLES_ON)))
	@tools/examples $(EXAMPLES_ON)

others: ## the tests of luasocket, lua-cjson, lpeg and Penlight, from Debian's sources, in fibers and threads; redis-lua
	$(call need,$(OTHERS_ON),tap busted luasocket redis dpkg-source lpeg cjson luasec luasql)
	@$(MAKE) --no-print-directory -s -j4 $(addprefix build-,$(OTHERS_ON))
	@tools/others $(OTHERS_ON)

OTHERS_ON = $(if $(LUA),$(LUA),luajit lua5.4)
EXAMPLES_ON = $(if $(LUA),$(LUA),luajit lua5.4 lua5.5)

test: ## every spec on every Lua, the C tests, luacheck; LUA=lua5.4 for one; BACKEND=posix as on macOS and BSD
	$(call need,$(sort $(CHOSEN) lua5.4),$(FOR_SPECS) luacheck clang-format strace dpkg-source)
	@$(MAKE) --no-print-directory -s -j4 WERROR=-Werror $(addprefix build-,$(CHOSEN)) c-tests
	@BACKEND=$(BACKEND) tools/test $(CHOSEN)

ports: ## plain POSIX, macOS, musl, older glibc, static, large pages, ARM, big-endian, newer Luas; ONLY="musl pages"
	$(call need,lua5.4,busted tap dpkg-source $(foreach port,$(or $(ONLY),$(PORTS)),$(need_$(port))))
	@tools/ports $(or $(ONLY),$(PORTS))

PORTS := strict posix macos musl glibc debian11 static pages aarch64 s390x luajit
need_posix := luajit=$(include_luajit) luasocket cmocka
need_musl := musl luarocks
need_glibc := luarocks
need_debian11 := luarocks debootstrap
need_static := musl
need_aarch64 := qemu cross
need_s390x := qemu cross

sanitize: ## C tests and specs under ThreadSanitizer, then AddressSanitizer with UBSan; BACKEND=posix
	$(call need,lua5.4,$(FOR_SPECS))
	@BACKEND=$(BACKEND) tools/sanitize

soak: ## stress, random input, leaks and failing allocations for hours: the long forms of what test and sanitize do
	$(call need,luajit lua5.4,$(FOR_SPECS) strace)
	@$(MAKE) --no-print-directory -s -j2 build-luajit build-lua5.4
	@tools/soak

model: ## the protocols of port, pool and heap, checked exhaustively with spin
	$(call need,,gcc spin tap)
	@tools/model

ifeq ($(BACKEND),posix)
bench:
	$(call need,luajit)
	@$(MAKE) --no-print-directory -s -j2 BACKEND=linux build-luajit build/c/bench
	@$(MAKE) --no-print-directory -s -j2 build-luajit $(BUILD)/c/bench
	@ONLY="$(ONLY)" lua5.4 bench/backends.lua
else
bench: ## the workloads, beside yardsticks; ONLY=W1, PLOT=1 charts, COUNT=1 instructions, OTHERS=1 Go ...; BACKEND=posix
	$(call need,$(BENCHED),$(if $(PLOT),gnuplot) $(if $(COUNT),valgrind))
	$(if $(OTHERS),@for need in $(OTHER_RUNTIMES); do CC="$(CC)" tools/packages $$need || :; done)
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(BUILD)/c/bench \
		$(BENCHED:%=$(BUILD)/c/states-%)
	@ONLY="$(ONLY)" PLOT="$(PLOT)" OTHERS="$(OTHERS)" lua5.4 bench/$(if $(COUNT),instructions,run).lua
endif

BENCHED := luajit lua5.4
# What cannot be installed is left out of the table.
OTHER_RUNTIMES := go javac node python3 g++ luv

$(BUILD)/c/bench: $(filter-out bench/states.c,$(wildcard bench/*.c)) $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -o $@ $(filter %.c %.o,$^) $(LIBRARIES)

$(BUILD)/c/bench: bench/bench.h src/iocp.h

$(BENCHED:%=$(BUILD)/c/states-%): $(BUILD)/c/states-%: bench/states.c $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(BASE) -isystem $(include_$*) -o $@ $(filter %.c %.o,$^) \
		-l$(if $(filter luajit,$*),luajit-5.1,$*) $(LIBRARIES)

NET := $(addprefix $(BUILD)/net/,client epoll blocking echo wake)

bench-net: ## echo servers over sockets, beside epoll, luv and cqueues; ONLY=, ROUNDS=, SECONDS=; PAGE=1 writes its page
	$(call need,$(BENCHED),luv cqueues)
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(NET)
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" SECONDS="$(SECONDS)" PAGE="$(PAGE)" lua5.4 bench/net/run.lua

$(BUILD)/net/client: bench/net/child.c
$(BUILD)/net/echo $(BUILD)/net/wake: $(CORE_OBJECTS) src/iocp.h

$(BUILD)/net/%: bench/net/%.c bench/net/net.c bench/net/net.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -o $@ $(filter %.c %.o,$^) $(LIBRARIES)

FILE := $(addprefix $(BUILD)/file/,pread iocp)

bench-file: ## reads of files, beside pread, dd, fio and luv; ONLY=, ROUNDS=; PAGE=1 writes its page
	$(call need,$(BENCHED),luv fio)
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(FILE)
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" PAGE="$(PAGE)" lua5.4 bench/file/run.lua

$(BUILD)/file/iocp: $(CORE_OBJECTS) src/iocp.h

$(BUILD)/file/%: bench/file/%.c bench/file/file.c bench/file/file.h bench/net/net.c bench/net/net.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -Ibench -o $@ $(filter %.c %.o,$^) $(LIBRARIES)

bench-shared: ## what threads share, beside C, effil and lanes; ONLY=, ROUNDS=; PAGE=1 writes its page
	$(call need,$(BENCHED))
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(BUILD)/shared/shared
	@bench/shared/prepare
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" PAGE="$(PAGE)" lua5.4 bench/shared/run.lua

$(BUILD)/shared/shared: bench/shared/shared.c $(CORE_OBJECTS) src/iocp.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -o $@ $(filter %.c %.o,$^) $(LIBRARIES)

HTTP := $(addprefix $(BUILD)/http/,epoll measure)

bench-http: ## HTTP servers, beside epoll, nginx, Node and others; ONLY=, ROUNDS=, SECONDS=; PAGE=1 writes its page
	$(call need,$(BENCHED),wrk nginx $(if $(PAGE),gnuplot))
	@for need in $(OTHER_SERVERS); do CC="$(CC)" tools/packages $$need || :; done
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(HTTP)
	@bench/http/prepare
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" SECONDS="$(SECONDS)" PAGE="$(PAGE)" lua5.4 bench/http/run.lua

bench-luasocket: ## socket.http over iocp.luasocket, beside luasocket and copas; ONLY=, ROUNDS=, COUNT=, COPAS=; PAGE=1
	$(call need,$(BENCHED),luasocket)
	@CC="$(CC)" tools/packages copas || :
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(BUILD)/http/epoll
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" COUNT="$(COUNT)" COPAS="$(COPAS)" PAGE="$(PAGE)" lua5.4 bench/luasocket/run.lua

# What cannot be installed is left out of the table.
OTHER_SERVERS := go node luv cqueues copas lua-http

$(BUILD)/http/measure: bench/net/child.c

$(BUILD)/http/%: bench/http/%.c bench/net/net.c bench/net/net.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -o $@ $(filter %.c,$^) $(LIBRARIES)

bench-remote: ## iocp.remote's queue, beside hiredis, and BullMQ in the folder BULLMQ=; ROUNDS=
	$(call need,$(BENCHED),redis messagepack hiredis)
	@$(MAKE) --no-print-directory -s -j2 $(addprefix build-,$(BENCHED)) $(BUILD)/remote/queue
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" BULLMQ="$(BULLMQ)" lua5.4 bench/remote/run.lua

$(BUILD)/remote/queue: bench/remote/queue.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) -o $@ $< -lhiredis

VERSION := $(shell sed -n 's/^.define IOCP_VERSION "\([^"]*\)".*/\1/p' src/iocp.h)
MAJOR := $(firstword $(subst ., ,$(VERSION)))
PREFIX ?= /usr/local

lib: $(addprefix $(BUILD)/lib/,libiocp.so.$(MAJOR) libiocp.a iocp.pc) ## the C library without Lua, below build/lib

$(BUILD)/lib/libiocp.so.$(MAJOR): $(CORE_OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LINK) -Wl,-soname,$(@F) -o $@ $^ $(LIBRARIES)

$(BUILD)/lib/libiocp.a: $(CORE_OBJECTS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/lib/iocp.pc: src/iocp.h Makefile FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: iocp' \
		'Description: I/O completion ports, private heaps and threads' 'Version: $(VERSION)' \
		'Libs: -L$${libdir} -liocp' 'Libs.private: $(LIBRARIES)' 'Cflags: -I$${includedir}' >$@

install: lib ## the C library, its header and iocp.pc below PREFIX (/usr/local); DESTDIR= is put before it
	install -d '$(DESTDIR)$(PREFIX)/include' '$(DESTDIR)$(PREFIX)/lib/pkgconfig'
	install -m 644 src/iocp.h '$(DESTDIR)$(PREFIX)/include'
	install -m 644 $(BUILD)/lib/libiocp.a '$(DESTDIR)$(PREFIX)/lib'
	install -m 755 $(BUILD)/lib/libiocp.so.$(MAJOR) '$(DESTDIR)$(PREFIX)/lib'
	ln -sf libiocp.so.$(MAJOR) '$(DESTDIR)$(PREFIX)/lib/libiocp.so'
	install -m 644 $(BUILD)/lib/iocp.pc '$(DESTDIR)$(PREFIX)/lib/pkgconfig'

install-lua: ## the Lua module for LUA=lua5.4 below PREFIX, where that Lua looks; types and examples in share/iocp
	@$(if $(LUA),,echo 'Say which: make install-lua LUA=lua5.4 (or: $(LUAS))'; exit 1)
	@$(MAKE) --no-print-directory -s ready
	install -d '$(LUA_SHARE)/jit' '$(LUA_SHARE)/luasocket' '$(LUA_SHARE)/remote' '$(LUA_SHARE)/tinn' '$(LUA_LIB)'
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/iocp/types' \
		'$(DESTDIR)$(PREFIX)/share/iocp/examples'
	install -m 644 lua/iocp/*.lua '$(LUA_SHARE)'
	install -m 644 lua/iocp/jit/*.lua '$(LUA_SHARE)/jit'
	install -m 644 lua/iocp/luasocket/*.lua '$(LUA_SHARE)/luasocket'
	install -m 644 lua/iocp/remote/*.lua '$(LUA_SHARE)/remote'
	install -m 644 lua/iocp/tinn/*.lua '$(LUA_SHARE)/tinn'
	install -m 755 $(BUILD)/$(LUA)/iocp/core.so '$(LUA_LIB)'
	sed '1s/lua$$/$(LUA)/' bin/iocp-worker >'$(DESTDIR)$(PREFIX)/bin/iocp-worker'
	chmod 755 '$(DESTDIR)$(PREFIX)/bin/iocp-worker'
	install -m 644 types/*.lua '$(DESTDIR)$(PREFIX)/share/iocp/types'
	install -m 644 examples/*.lua '$(DESTDIR)$(PREFIX)/share/iocp/examples'
	install -d '$(DESTDIR)$(PREFIX)/share/iocp/examples/httpd' '$(DESTDIR)$(PREFIX)/share/iocp/examples/log_analyser'
	install -m 644 examples/httpd/*.lua '$(DESTDIR)$(PREFIX)/share/iocp/examples/httpd'
	install -m 644 examples/log_analyser/*.lua '$(DESTDIR)$(PREFIX)/share/iocp/examples/log_analyser'

LUA_VERSION = $(if $(filter luajit,$(LUA)),5.1,$(LUA:lua%=%))
LUA_SHARE = $(DESTDIR)$(PREFIX)/share/lua/$(LUA_VERSION)/iocp
LUA_LIB = $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)/iocp

rockspec: ## build/iocp-VERSION-1.rockspec, of the release that is the tag vVERSION of REPOSITORY=https://...
	@mkdir -p $(BUILD)
	@lua5.4 tools/rockspec.lua '$(REPOSITORY)' >$(BUILD)/iocp-$(VERSION)-1.rockspec
	@luarocks lint $(BUILD)/iocp-$(VERSION)-1.rockspec
	@echo $(BUILD)/iocp-$(VERSION)-1.rockspec

check-lib: ## the C library installed into a fresh tree, and a program in C and C++ that pkg-config finds it for
	$(call need,,g++ pkg-config tap)
	@tools/lib

rock: ## luarocks lint, make, pack, install and test into fresh trees, and scripts that use the rock from other folders
	$(call need,luajit lua5.4 lua5.5,luarocks busted gcc clang tap dpkg-source)
	@tools/rock

lint: ## luacheck, the sources' layout and width, and whether they keep to tools/house.lua
	$(call need,lua5.4,luacheck clang-format)
	@luacheck -q $(filter-out build/ rocks/,$(wildcard */))
	@clang-format --dry-run -Werror $(shell find src spec/c bench -name '*.[ch]')
	@lua5.4 tools/columns.lua
	@$(MAKE) --no-print-directory -s -j2 $(READ)
	@lua5.4 tools/arrows.lua $(OBJECTS)
	@tools/arrows-test $(OBJECTS)

guide: ## the lines of the guide's chapters that say what comes before and next, by the order of doc/index.md
	$(call need,lua5.4)
	@lua5.4 tools/guide.lua

picture: ## doc/house.svg, drawn from the code, and those in doc/pictures
	$(call need,lua5.4,graphviz)
	@for picture in doc/pictures/*.dot; do dot -Tsvg -o "$${picture%.dot}.svg" "$$picture"; done
	@$(MAKE) --no-print-directory -s -j2 $(READ)
	@lua5.4 tools/arrows.lua --draw $(OBJECTS) | dot -Tsvg >doc/house.svg

doc: ## the tables of doc/reference.md from types/iocp.d.lua, and a site of all that there is to read: build/doc/html
	$(call need,lua5.4,ldoc cmark-gfm)
	@tools/doc/make

check-doc: ## the same, and whether the site's links lead somewhere and its search finds what there is
	$(call need,lua5.4,ldoc cmark-gfm node tap)
	@tools/doc/check

# Whose symbols tools/arrows.lua reads: the binding's with the core and each backend that can be built here.
READ = build-lua5.4 $(if $(HAS_MINGW),$(WINDOWS_CORE_OBJECTS))
OBJECTS = $(BACKEND)=$(BUILD)/core,$(BUILD)/lua5.4/obj \
	$(if $(HAS_MINGW),windows=$(WINDOWS)/core,$(BUILD)/lua5.4/obj)
HAS_MINGW = $(shell command -v $(MINGW)gcc)

env: ## print the exports that let any script require the module, built at first: eval "$(make -s env LUA=lua5.4)"
	@[ -e $(BUILD)/$(CHOSEN_ONE)/iocp/core.so ] || $(MAKE) --no-print-directory -s ready >&2
	@echo 'export LUA_PATH="$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$${LUA_PATH:-};$(CURDIR)/examples/?.lua"'
	@echo 'export LUA_CPATH="$(CURDIR)/$(BUILD)/$(CHOSEN_ONE)/?.so;$${LUA_CPATH:-;}"'
	@$(if $(filter $(OWN_LUA)/%,$(include_$(CHOSEN_ONE))),\
		echo 'export PATH="$${PATH}:$(OWN_LUA)/bin" LUA_CPATH="$${LUA_CPATH};$(OWN_LUA)/lua5.4/?.so"')

clean: ## remove what was built
	rm -rf $(BUILD)

include windows.mk
