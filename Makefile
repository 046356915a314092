# Two commands for a fresh machine: `make demo` and `make test`. Both do all the set-up they need.
SHELL := /bin/bash
PYTHON := /usr/bin/python3
BIN := .venv/bin

# systemd-python is compiled: it wants Python's and systemd's headers and a C compiler
BUILD_PACKAGES := python3-venv python3-dev gcc pkg-config libsystemd-dev
TEST_PACKAGES := dmidecode dpkg-dev debhelper dh-python pybuild-plugin-pyproject python3-all python3-setuptools lintian \
  shellcheck age strace systemd
VM_PACKAGES := qemu-system-x86 ovmf debootstrap e2fsprogs debian-archive-keyring systemd-container

VM := PYTHONPATH=tests $(BIN)/python -m
GUESTS := $(BIN)/pytest -m vm -n 2 --dist worksteal -vv

.PHONY: demo test test-fast test-vm test-vm-full test-flow fixtures bench damage lint deb clean build-packages test-packages vm-packages fixture-packages

demo: .venv/runtime
	$(BIN)/guestcred --root fixtures/dmi/debian13-reference check

# everything; the real guests are Debian 12, 13 and 14 under QEMU's software emulation, the host is Debian 13
test: lint deb vm-packages
	$(BIN)/pytest -m "not vm"
	$(GUESTS)

# the same without QEMU
test-fast: lint deb
	$(BIN)/pytest -m "not vm and not qemu"

test-vm: .venv/dev deb vm-packages
	$(GUESTS) $(VM_ARGUMENTS)

test-vm-full: .venv/dev deb vm-packages
	$(GUESTS) --vm-full $(VM_ARGUMENTS)

# from a secret on a host with its own PID 1 to the services in its guests
test-flow: .venv/dev deb vm-packages
	$(BIN)/pytest -m vm -k whole_flow -s

# fixtures/dmi from freshly booted guests
fixtures: .venv/dev deb vm-packages fixture-packages
	$(VM) vm.fixtures

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# in a folder of its own, by Debian's own Python whatever else stands in PATH
deb: test-packages
	rm -rf build/deb && mkdir -p build/deb/guestcred dist
	tar -c --exclude=__pycache__ guestcred pyproject.toml README.md LICENSE packaging | tar -x -C build/deb/guestcred
	mv build/deb/guestcred/packaging/debian build/deb/guestcred/debian
	cd build/deb/guestcred && PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage --build=binary --no-sign >../build.log 2>&1 || { tail -n 30 ../build.log >&2; exit 1; }
	rm -f dist/guestcred_*.deb
	cp build/deb/guestcred_*_all.deb dist/
	@ls dist/guestcred_*_all.deb

bench: .venv/dev
	$(BIN)/python tests/bench.py

# which secrets arrive whole by the shell's way and by guestcred's, under QEMU
damage: .venv/dev test-packages vm-packages fixture-packages
	$(BIN)/python tests/difficult.py

# installs the packages in $(1) by apt when it may, else says the line to type
define install
@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $(1) 2>/dev/null | awk '$$NF == "installed" {print $$1}' \
  | sort | comm -13 - <(printf '%s\n' $(1) | sort) | xargs); \
if [ -n "$$missing" ]; then \
  if [ "$$(id -u)" = 0 ]; then become=; \
  elif sudo -n true 2>/dev/null; then become="sudo -n"; \
  else echo "guestcred: these packages are missing; type: sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
  $$become apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$become apt-get install -y -qq --no-install-recommends $$missing >/dev/null || \
  { echo "guestcred: apt-get could not install $$missing" >&2; exit 1; }; \
fi
endef

build-packages:
	$(call install,$(BUILD_PACKAGES))

test-packages:
	$(call install,$(TEST_PACKAGES))

fixture-packages:
	$(call install,qemu-system-arm qemu-efi-aarch64 cpio)

vm-packages:
	$(call install,$(VM_PACKAGES))

.venv/runtime: pyproject.toml | build-packages
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check wheel setuptools
	$(BIN)/pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e .
	touch $@

.venv/dev: pyproject.toml .venv/runtime
	$(BIN)/pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]'
	$(BIN)/pip install -q --disable-pip-version-check --upgrade --no-deps --target .venv/oldest construct==2.10.68 click==8.1.3 jeepney==0.8.0
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
