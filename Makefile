# Two commands for a fresh machine: `make demo` and `make test`. Each does all the set-up that it needs.
SHELL := /bin/bash
PYTHON := /usr/bin/python3
BIN := .venv/bin
PIP := $(PYTHON) -m pip --python $(BIN)/python install -q --disable-pip-version-check --root-user-action=ignore
RELEASE := debian13

# all from Debian, so that nothing is compiled (systemd-python has no wheel) and nothing is downloaded twice
RUN_PACKAGES := python3 python3-construct python3-click python3-systemd
DEB_PACKAGES := python3-setuptools build-essential debhelper dh-python pybuild-plugin-pyproject python3-all
TEST_PACKAGES := $(RUN_PACKAGES) $(DEB_PACKAGES) python3-pip python3-wheel dmidecode lintian mandoc rpm shellcheck age strace systemd nix-bin \
  ansible-core
VM_PACKAGES := qemu-system-x86 ovmf debootstrap e2fsprogs debian-archive-keyring systemd-container
# only for the look of a page: 125 MB to fetch
BROWSER_PACKAGES := chromium
FIXTURE_PACKAGES := qemu-system-arm qemu-efi-aarch64 cpio
# a TPM for guests
JUDGE_PACKAGES := swtpm

# a captured guest whose PID 1 found no dmi-sysfs, and so imported nothing
DEMO := $(BIN)/guestcred --root fixtures/dmi/debian14-hidden-entries
DEMO_NAME := API_KEY

VM := PYTHONPATH=tests $(BIN)/python -m
TESTS := $(BIN)/pytest -n auto
MUTANTS := $(BIN)/python tests/mutants.py
GUESTS := $(BIN)/pytest -m vm -n 2 --dist worksteal -vv

# what the tests run of the package in their own process; commands that they start are not counted
COVERAGE := --cov --cov-report=term:skip-covered

.NOTPARALLEL:
.PHONY: demo test test-fast coverage mutants test-fresh test-vm test-vm-full test-flow judge fixtures atlas bench boot-cost damage lint docs deb rpm clean
.PHONY: run-packages deb-packages test-packages vm-packages judge-packages all-packages

demo: .venv/runtime
	@$(call show,$(DEMO) status)
	@$(call show,$(DEMO) why $(DEMO_NAME))
	@printf '%s\n' "" \
	  "That was a captured guest. Next, as root in a guest of yours:  $(BIN)/guestcred" \
	  "or what each service of the captured one gets:                 $(DEMO) services"

# everything; the real guests are Debian 12, 13 and 14 under QEMU's software emulation, the host is Debian 13
test: all-packages lint docs deb
	$(TESTS) -m "not vm" $(COVERAGE)
	$(TESTS) --exhaustive tests/test_faults.py tests/test_launch.py
	$(GUESTS)
	@if [ "$$(id -u)" = 0 ]; then $(MUTANTS) --core 20 && $(PYTHON) tests/fresh.py $(RELEASE) "make demo"; \
	else echo "skipped: mutants and fresh machines need root: sudo make mutants test-fresh"; fi

# the same without QEMU, and without a browser where there is none
test-fast: test-packages lint docs deb
	$(TESTS) -m "not vm and not qemu"

# the same tests, and the lines and branches that they did not reach
coverage: test-packages deb .venv/dev
	$(TESTS) -m "not vm and not qemu" $(COVERAGE) --cov-report=term-missing:skip-covered

# changes to the code, one at a time, that no test sees; MODULES="apply/dirfd.py ..." for some of the modules
mutants: test-packages .venv/dev
	$(MUTANTS) $(MODULES)

# `make demo` and `make test-fast` in a minimal Debian of that release, as root and as an ordinary user
test-fresh: vm-packages
	$(PYTHON) tests/fresh.py $(RELEASE)

test-vm: all-packages .venv/dev deb
	$(GUESTS) $(VM_ARGUMENTS)

test-vm-full: all-packages .venv/dev deb
	$(GUESTS) --vm-full $(VM_ARGUMENTS)

# from a secret on a host with its own PID 1 to the services in its guests
test-flow: all-packages .venv/dev deb
	$(BIN)/pytest -m vm -k whole_flow -s

# systemd's own tests of credentials, in guests of 257 and 262, and what guestcred says at each of their steps
judge: all-packages judge-packages .venv/dev deb
	$(VM) vm.judge $(JUDGE_ARGUMENTS)

# fixtures/dmi from freshly booted guests; FIXTURES="debian14-microvm ..." for some of them, the others stay
fixtures: all-packages .venv/dev deb
	$(VM) vm.fixtures $(FIXTURES)

# who reads which well-known name, from Debian's packages of four systemds, and what changed; downloads 150 MB once
atlas: .venv/dev vm-packages
	PYTHONPATH=tests $(BIN)/python tests/atlas.py

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# README.md and docs/ as a site in build/site; a link that leads nowhere fails it
docs: .venv/dev
	@$(BIN)/sphinx-build -q -W --keep-going -b html -d build/sphinx docs build/site
	@echo build/site/index.html

# in its own folder, with Debian's own Python whatever else is in PATH
deb: deb-packages
	@rm -rf build/deb && mkdir -p build/deb/guestcred dist
	@tar -c --exclude=__pycache__ guestcred pyproject.toml README.md SECURITY.md LICENSE docs packaging | tar -x -C build/deb/guestcred
	@mv build/deb/guestcred/packaging/debian build/deb/guestcred/debian
	@cd build/deb/guestcred && PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage --build=binary --no-sign >../build.log 2>&1 || { tail -n 30 ../build.log >&2; exit 1; }
	@rm -f dist/guestcred_*.deb dist/guestcred-initrd_*.deb
	@cp build/deb/guestcred_*_all.deb build/deb/guestcred-initrd_*_all.deb dist/
	@ls dist/guestcred*_all.deb

# as Fedora and openSUSE take it; rpm knows nothing of the packages here, so it cannot look for what it needs
rpm: test-packages .venv/dev
	@rm -rf build/rpm
	@$(BIN)/python -m build -q --sdist --no-isolation --outdir build/rpm . >/dev/null
	@rpmbuild -bb --nodeps --quiet --define "_topdir $$PWD/build/rpm" --define "_sourcedir $$PWD/build/rpm" packaging/rpm/guestcred.spec
	@mkdir -p dist && mv build/rpm/RPMS/noarch/guestcred-*.rpm dist/ && ls dist/guestcred-*.rpm

bench: .venv/dev
	$(BIN)/python tests/bench.py

# what the package costs a boot, against the same guest without it; BOOT_COST_ARGUMENTS="--icount --boots 1"
boot-cost: all-packages .venv/dev deb
	$(VM) vm.boot_cost $(BOOT_COST_ARGUMENTS)

# which secrets arrive whole under QEMU, passed by the shell and by guestcred
damage: all-packages .venv/dev
	$(BIN)/python tests/difficult.py

# a command as people type it, and what it prints
show = printf '\n$$ %s\n' '$(1)' && { $(1) || test $$? = 1; }

# installs the packages $(1) with apt as root or with sudo, otherwise prints the line to type; apt may know them even if it
# cannot update all its lists, for example that of a third party's archive
define install
@missing=$$(dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $(1) 2>/dev/null | awk '$$2 == "installed" {print $$1}' \
  | sort | comm -13 - <(printf '%s\n' $(1) | sort -u) | xargs); \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" = 0 ]; then become=; \
elif sudo -n true 2>/dev/null; then become="sudo -n"; \
else \
  command -v sudo >/dev/null && become="sudo " who= || become= who="as root "; \
  printf '%s\n' "guestcred: packages are missing. Type this $${who}once, then make again:" \
    "  $${become}apt-get update; $${become}apt-get install -y --no-install-recommends $$missing" >&2; exit 1; \
fi; \
echo "guestcred: installing $$(wc -w <<<"$$missing") packages with apt"; \
log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
{ $$become apt-get update -q || true; $$become env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; } \
  >"$$log" 2>&1 || { tail -n 20 "$$log" >&2; echo "guestcred: apt-get could not install $$missing" >&2; exit 1; }
endef

run-packages:
	$(call install,$(RUN_PACKAGES))

deb-packages:
	$(call install,$(DEB_PACKAGES))

test-packages:
	$(call install,$(TEST_PACKAGES))

vm-packages:
	$(call install,$(VM_PACKAGES))

judge-packages:
	$(call install,$(JUDGE_PACKAGES))

all-packages:
	$(call install,$(TEST_PACKAGES) $(VM_PACKAGES) $(FIXTURE_PACKAGES) $(BROWSER_PACKAGES))

# Debian's construct, click and systemd, and this folder: nothing is built or downloaded
.venv/runtime: Makefile | run-packages
	@$(PYTHON) -m venv --clear --without-pip --system-site-packages .venv
	@pwd >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/guestcred.pth"
	@printf '%s\n' "#!$$PWD/$(BIN)/python" "from guestcred.__main__ import program" "program()" >$(BIN)/guestcred
	@chmod +x $(BIN)/guestcred
	@touch $@

# the same with the tools, by pip, which makes the program's script anew as for everybody who installs it so
.venv/dev: pyproject.toml .venv/runtime | test-packages
	$(PIP) --config-settings editable_mode=compat -e '.[dev]'
	$(PIP) --use-pep517 --upgrade --no-deps --target .venv/oldest construct==2.10.68 click==8.1.3
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
