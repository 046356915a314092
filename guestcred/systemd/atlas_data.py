"""Who reads which well-known credential and Type 11 string: written by `make atlas`, and never by hand."""

# by, inside, since, time, when, drop_in
_Reader = tuple[tuple[str, ...], str, int, str, str, bool]

# name, since, parts, form, instead, readers
Row = tuple[str, int, str, str, str, tuple[_Reader, ...]]

# fmt: off
ENTRIES: tuple[Row, ...] = (
    ("*.wol.password", 252, "the .link file's name, with its suffix", "", "", (
        (("systemd-udevd.service",), "", 252, "at boot", "only for a .link file with WakeOnLan=secureon and no password of its own", True),
    )),
    ("agetty.autologin", 254, "", "", "", (
        (("getty@.service", "serial-getty@.service", "container-getty@.service", "console-getty.service",), "agetty", 254, "at boot", "only with util-linux 2.40 or later", False),
    )),
    ("cryptsetup.fido2-pin", 256, "", "", "", (
        (("systemd-cryptsetup@.service",), "", 256, "at boot", "only for a volume that it unlocks, and asks this of", False),
    )),
    ("cryptsetup.luks2-pin", 256, "", "", "", (
        (("systemd-cryptsetup@.service",), "", 256, "at boot", "only for a volume that it unlocks, and asks this of", False),
    )),
    ("cryptsetup.passphrase", 256, "", "", "", (
        (("systemd-cryptsetup@.service",), "", 256, "at boot", "only for a volume that it unlocks, and asks this of", False),
    )),
    ("cryptsetup.pkcs11-pin", 256, "", "", "", (
        (("systemd-cryptsetup@.service",), "", 256, "at boot", "only for a volume that it unlocks, and asks this of", False),
    )),
    ("cryptsetup.tpm2-pin", 256, "", "", "", (
        (("systemd-cryptsetup@.service",), "", 256, "at boot", "only for a volume that it unlocks, and asks this of", False),
    )),
    ("firstboot.hostname", 261, "", "", "", (
        (("systemd-firstboot.service",), "", 261, "at boot", "only at the first boot, and only where /etc/hostname is missing", False),
    )),
    ("firstboot.keymap", 252, "", "", "", (
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where /etc/vconsole.conf is missing, which Debian makes a link to default/keyboard right after (from 254 on)", False),
    )),
    ("firstboot.locale", 252, "", "", "", (
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where /etc/locale.conf is missing (with Debian's 252 /etc/default/locale)", False),
    )),
    ("firstboot.locale-message", 252, "", "", "firstboot.locale-messages", (
    )),
    ("firstboot.locale-messages", 252, "", "", "", (
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where /etc/locale.conf is missing (with Debian's 252 /etc/default/locale)", False),
    )),
    ("firstboot.machine-tags", 261, "", "", "", (
        (("systemd-firstboot.service",), "", 261, "at boot", "only at the first boot, and only where /etc/machine-info is missing", False),
    )),
    ("firstboot.timezone", 252, "", "", "", (
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where /etc/localtime is missing", False),
    )),
    ("fsck.*", 258, "mode or repair", "", "", (
        (("systemd-fsck@.service", "systemd-fsck-root.service",), "", 258, "at boot", "only fsck.mode and fsck.repair", False),
        (("systemd-fsck-usr.service",), "", 258, "at boot", "only fsck.mode and fsck.repair, in the initrd, where /usr is a file system of its own", False),
    )),
    ("fsck.mode", 258, "", "", "", (
        (("systemd-fsck@.service", "systemd-fsck-root.service",), "", 258, "at boot", "", False),
        (("systemd-fsck-usr.service",), "", 258, "at boot", "only in the initrd, where /usr is a file system of its own", False),
    )),
    ("fsck.repair", 258, "", "", "", (
        (("systemd-fsck@.service", "systemd-fsck-root.service",), "", 258, "at boot", "", False),
        (("systemd-fsck-usr.service",), "", 258, "at boot", "only in the initrd, where /usr is a file system of its own", False),
    )),
    ("fstab.extra", 254, "", "", "", (
        (("systemd-fstab-generator",), "", 254, "at boot", "", False),
    )),
    ("fstab.extra.initrd", 254, "", "", "", (
        (("systemd-fstab-generator",), "", 254, "at boot", "only in the initrd, before switch-root", False),
    )),
    ("getty.auto", 258, "", "", "", (
        (("systemd-getty-generator",), "", 258, "at boot", "", False),
    )),
    ("getty.ttys.container", 254, "", "", "", (
        (("systemd-getty-generator",), "", 254, "at boot", "only after switch-root, and (from 258 on) where getty.auto does not keep it from it: it starts container-getty@TTY.service for each line", False),
    )),
    ("getty.ttys.serial", 254, "", "", "", (
        (("systemd-getty-generator",), "", 254, "at boot", "only after switch-root, and (from 258 on) where getty.auto does not keep it from it: it starts serial-getty@TTY.service for each line", False),
    )),
    ("home.add-signing-key.*", 258, "the file's name, which ends in '.public'", "", "", (
        (("systemd-homed-firstboot.service",), "", 258, "at boot", "only at the first boot, and only where it is enabled", False),
    )),
    ("home.create.*", 256, "the user's name", "json", "", (
        (("systemd-homed-firstboot.service",), "", 256, "at boot", "only at the first boot, and only where it is enabled", False),
    )),
    ("home.register.*", 258, "the user's name", "json", "", (
        (("systemd-homed-firstboot.service",), "", 258, "at boot", "only at the first boot, and only where it is enabled", False),
    )),
    ("imds.*", 261, "vendor, vendor_token, refresh_header_name, data_url, data_url_suffix, token_header_name, extra_header (and extra_header2 to 63), address_ipv4, address_ipv6, or key_ and a key's name", "", "", (
        (("systemd-imdsd@.service",), "", 261, "at each request", "only where systemd-imdsd is installed, and neither its environment nor systemd.imds.*= on the kernel command line says where the service is", False),
    )),
    ("import.pull", 257, "", "", "", (
        (("systemd-import-generator",), "", 257, "at boot", "only where systemd-importd is installed", False),
    )),
    ("io.systemd.boot-entries.extra:", 258, "", "", "io.systemd.boot.entries-extra:", (
    )),
    ("io.systemd.boot.entries-extra:", 258, "", "", "", (
        (("systemd-boot",), "", 258, "before the kernel", "only in the first Type 11 structure, and never in a confidential VM", False),
    )),
    ("io.systemd.boot.kernel-cmdline-extra=", 256, "", "", "", (
        (("systemd-boot",), "", 256, "before the kernel", "only for Type 1 entries with a kernel, only in the first Type 11 structure, and never in a confidential VM", False),
    )),
    ("io.systemd.boot.loglevel=", 259, "", "", "", (
        (("systemd-boot",), "", 259, "before the kernel", "only in the first Type 11 structure, and never in a confidential VM", False),
        (("systemd-stub",), "", 259, "before the kernel", "only in the first Type 11 structure, and never in a confidential VM", False),
    )),
    ("io.systemd.boot.timeout=", 260, "", "", "", (
        (("systemd-boot",), "", 260, "before the kernel", "only in the first Type 11 structure, and never in a confidential VM", False),
    )),
    ("io.systemd.credential.binary:", 252, "", "", "", (
        (("PID 1",), "", 252, "at boot", "never in a confidential VM (from 254 on; under TDX again from 262 on)", False),
    )),
    ("io.systemd.credential:", 252, "", "", "", (
        (("PID 1",), "", 252, "at boot", "never in a confidential VM (from 254 on; under TDX again from 262 on)", False),
    )),
    ("io.systemd.stub.kernel-cmdline-extra=", 254, "", "", "", (
        (("systemd-stub",), "", 254, "before the kernel", "only where a unified kernel image is booted, only in the first Type 11 structure, and never in a confidential VM", False),
    )),
    ("journal.forward_to_socket", 256, "", "", "", (
        (("systemd-journald.service",), "", 256, "at boot", "only where neither journald.conf nor the kernel command line sets it", False),
    )),
    ("journal.storage", 256, "", "", "", (
        (("systemd-journald.service",), "", 256, "at boot", "only where neither journald.conf nor the kernel command line sets it", False),
    )),
    ("login.issue", 252, "", "", "", (
        (("systemd-tmpfiles-setup.service",), "", 252, "at boot", "only where /etc/issue.d/50-provision.conf does not exist yet", False),
    )),
    ("login.motd", 252, "", "", "", (
        (("systemd-tmpfiles-setup.service",), "", 252, "at boot", "only where /etc/motd.d/50-provision.conf does not exist yet", False),
    )),
    ("login.noauth", 254, "", "yes", "", (
        (("getty@.service", "serial-getty@.service", "container-getty@.service", "console-getty.service",), "login", 254, "at boot", "only where login is that of util-linux 2.40 or later, and the value is 'yes'", False),
    )),
    ("network.conf.*", 256, "the file's name without its suffix, for /run/systemd/networkd.conf.d", "", "", (
        (("systemd-network-generator.service",), "", 256, "at boot", "only where it is enabled", True),
    )),
    ("network.dns", 253, "", "", "", (
        (("systemd-resolved.service",), "", 253, "at boot", "only where it is enabled, and resolved.conf sets neither DNS= nor Domains=", False),
    )),
    ("network.hosts", 252, "", "", "", (
        (("systemd-tmpfiles-setup.service",), "", 252, "at boot", "only where /etc/hosts does not exist yet", False),
    )),
    ("network.link.*", 256, "the file's name without its suffix, for /run/systemd/network", "", "", (
        (("systemd-network-generator.service",), "", 256, "at boot", "only where it is enabled", False),
    )),
    ("network.netdev.*", 256, "the file's name without its suffix, for /run/systemd/network", "", "", (
        (("systemd-network-generator.service",), "", 256, "at boot", "only where it is enabled", False),
    )),
    ("network.network.*", 256, "the file's name without its suffix, for /run/systemd/network", "", "", (
        (("systemd-network-generator.service",), "", 256, "at boot", "only where it is enabled", False),
    )),
    ("network.search_domains", 253, "", "", "", (
        (("systemd-resolved.service",), "", 253, "at boot", "only where it is enabled, and resolved.conf sets neither DNS= nor Domains=", False),
    )),
    ("network.wireguard.*", 256, "private.NAME for the key of NAME.netdev, or what stands behind '@' in PrivateKey=, PresharedKey= and Endpoint=", "", "", (
        (("systemd-networkd.service",), "", 256, "at boot", "only where it is enabled", False),
    )),
    ("passwd.hashed-password.*", 252, "the name of a user that sysusers makes", "hash", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "only where /etc/passwd does not have that user yet", True),
    )),
    ("passwd.hashed-password.root", 252, "", "hash", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "only where /etc/passwd has no root yet", False),
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where root has no password yet: /etc/passwd or /etc/shadow is missing, or (from 254 on) it is '!unprovisioned' there", False),
    )),
    ("passwd.plaintext-password.*", 252, "the name of a user that sysusers makes", "", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "only where /etc/passwd does not have that user yet", True),
    )),
    ("passwd.plaintext-password.root", 252, "", "", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "only where /etc/passwd has no root yet", False),
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where root has no password yet: /etc/passwd or /etc/shadow is missing, or (from 254 on) it is '!unprovisioned' there", False),
    )),
    ("passwd.shell.*", 252, "the name of a user that sysusers makes", "", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "only where /etc/passwd does not have that user yet", True),
    )),
    ("passwd.shell.root", 252, "", "", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "only where /etc/passwd has no root yet", False),
        (("systemd-firstboot.service",), "", 252, "at boot", "only at the first boot, and only where root has no password yet: /etc/passwd or /etc/shadow is missing, or (from 254 on) it is '!unprovisioned' there", False),
    )),
    ("quotacheck.*", 258, "mode", "", "", (
        (("systemd-quotacheck@.service", "systemd-quotacheck-root.service",), "", 258, "at boot", "only quotacheck.mode", False),
    )),
    ("quotacheck.mode", 258, "", "", "", (
        (("systemd-quotacheck@.service", "systemd-quotacheck-root.service",), "", 258, "at boot", "only for a file system with quotas, and never in the initrd", False),
    )),
    ("shell.prompt.prefix", 257, "", "", "", (
        (("getty@.service", "serial-getty@.service", "container-getty@.service", "console-getty.service",), "pam_systemd", 257, "at login", "", False),
    )),
    ("shell.prompt.suffix", 257, "", "", "", (
        (("getty@.service", "serial-getty@.service", "container-getty@.service", "console-getty.service",), "pam_systemd", 257, "at login", "", False),
    )),
    ("shell.welcome", 257, "", "", "", (
        (("getty@.service", "serial-getty@.service", "container-getty@.service", "console-getty.service",), "pam_systemd", 257, "at login", "", False),
    )),
    ("ssh.authorized_keys.root", 252, "", "ssh-keys", "", (
        (("systemd-tmpfiles-setup.service",), "", 252, "at boot", "only where /root/.ssh/authorized_keys does not exist yet", False),
    )),
    ("ssh.ephemeral-authorized_keys-all", 256, "", "ssh-keys", "", (
        (("sshd-generated@.service",), "", 256, "at each connection", "only over the AF_VSOCK and AF_UNIX sockets of systemd-ssh-generator, and only where there is no sshd@.service", False),
    )),
    ("ssh.listen", 256, "", "", "", (
        (("systemd-ssh-generator",), "", 256, "at boot", "only where sshd is installed", False),
    )),
    ("sysctl.extra", 252, "", "", "", (
        (("systemd-sysctl.service",), "", 252, "at boot", "only where /proc/sys may be written", False),
    )),
    ("system.hostname", 256, "", "", "", (
        (("PID 1",), "", 256, "at boot", "only where neither /etc/hostname nor systemd.hostname= on the kernel command line sets one", False),
    )),
    ("system.machine_id", 254, "", "machine-id", "", (
        (("PID 1",), "", 254, "at boot", "only where /etc/machine-id is missing, empty or 'uninitialized', and D-Bus has no ID of its own", False),
    )),
    ("systemd.extra-unit.*", 256, "the unit's name: systemd.extra-unit.demo.service", "", "", (
        (("systemd-debug-generator",), "", 256, "at boot", "", False),
    )),
    ("systemd.unit-dropin.*", 256, "the unit's name, and behind a '~' that of the drop-in: systemd.unit-dropin.demo.service~10-more", "", "", (
        (("systemd-debug-generator",), "", 256, "at boot", "", False),
    )),
    ("sysusers.extra", 252, "", "", "", (
        (("systemd-sysusers.service",), "", 252, "at boot", "", False),
    )),
    ("tmpfiles.extra", 252, "", "tmpfiles", "", (
        (("systemd-tmpfiles-setup-dev-early.service",), "", 254, "at boot", "", False),
        (("systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-setup.service", "systemd-tmpfiles-clean.service",), "", 252, "at boot", "", False),
    )),
    ("tty.console.agetty.autologin", 257, "", "", "", (
        (("console-getty.service",), "agetty", 257, "at boot", "only with util-linux 2.40 or later", False),
    )),
    ("tty.console.login.noauth", 257, "", "yes", "", (
        (("console-getty.service",), "login", 257, "at boot", "only where login is that of util-linux 2.40 or later, and the value is 'yes'", False),
    )),
    ("tty.container.*.agetty.autologin", 257, "the terminal, as in container-getty@1.service", "", "", (
        (("container-getty@.service",), "agetty", 257, "at boot", "only with util-linux 2.40 or later", False),
    )),
    ("tty.container.*.login.noauth", 257, "the terminal, as in container-getty@1.service", "yes", "", (
        (("container-getty@.service",), "login", 257, "at boot", "only where login is that of util-linux 2.40 or later, and the value is 'yes'", False),
    )),
    ("tty.serial.*.agetty.autologin", 257, "the terminal, as in serial-getty@ttyS0.service", "", "", (
        (("serial-getty@.service",), "agetty", 257, "at boot", "only with util-linux 2.40 or later", False),
    )),
    ("tty.serial.*.login.noauth", 257, "the terminal, as in serial-getty@ttyS0.service", "yes", "", (
        (("serial-getty@.service",), "login", 257, "at boot", "only where login is that of util-linux 2.40 or later, and the value is 'yes'", False),
    )),
    ("tty.virtual.*.agetty.autologin", 257, "the terminal, as in getty@tty1.service", "", "", (
        (("getty@.service",), "agetty", 257, "at boot", "only with util-linux 2.40 or later", False),
    )),
    ("tty.virtual.*.login.noauth", 257, "the terminal, as in getty@tty1.service", "yes", "", (
        (("getty@.service",), "login", 257, "at boot", "only where login is that of util-linux 2.40 or later, and the value is 'yes'", False),
    )),
    ("udev.conf.*", 256, "the file's name without its suffix, for /run/udev", "", "", (
        (("systemd-udev-load-credentials.service",), "", 256, "at boot", "only where it is enabled", False),
    )),
    ("udev.rules.*", 256, "the file's name without its suffix, for /run/udev", "", "", (
        (("systemd-udev-load-credentials.service",), "", 256, "at boot", "only where it is enabled", False),
    )),
    ("userdb.group.*", 258, "the name of the user or group, as in the record", "json", "", (
        (("systemd-userdb-load-credentials.service",), "", 258, "at boot", "only where it is enabled, and never in the initrd", False),
    )),
    ("userdb.transient.group.*", 258, "the name of the user or group, as in the record", "json", "", (
        (("systemd-userdb-load-credentials.service",), "", 258, "at boot", "only where it is enabled, and never in the initrd", False),
    )),
    ("userdb.transient.user.*", 258, "the name of the user or group, as in the record", "json", "", (
        (("systemd-userdb-load-credentials.service",), "", 258, "at boot", "only where it is enabled, and never in the initrd", False),
    )),
    ("userdb.user.*", 258, "the name of the user or group, as in the record", "json", "", (
        (("systemd-userdb-load-credentials.service",), "", 258, "at boot", "only where it is enabled, and never in the initrd", False),
    )),
    ("vconsole.font", 253, "", "", "", (
        (("systemd-vconsole-setup.service",), "", 253, "at boot", "only where there is a virtual terminal, and /etc/vconsole.conf does not set it", False),
    )),
    ("vconsole.font_map", 253, "", "", "", (
        (("systemd-vconsole-setup.service",), "", 253, "at boot", "only where there is a virtual terminal, and /etc/vconsole.conf does not set it", False),
    )),
    ("vconsole.font_scale", 262, "", "", "", (
        (("systemd-vconsole-setup.service",), "", 262, "at boot", "only where there is a virtual terminal, and /etc/vconsole.conf does not set it", False),
    )),
    ("vconsole.font_unimap", 253, "", "", "", (
        (("systemd-vconsole-setup.service",), "", 253, "at boot", "only where there is a virtual terminal, and /etc/vconsole.conf does not set it", False),
    )),
    ("vconsole.keymap", 253, "", "", "", (
        (("systemd-vconsole-setup.service",), "", 253, "at boot", "only where there is a virtual terminal, and /etc/vconsole.conf does not set it", False),
    )),
    ("vconsole.keymap_toggle", 253, "", "", "", (
        (("systemd-vconsole-setup.service",), "", 253, "at boot", "only where there is a virtual terminal, and /etc/vconsole.conf does not set it", False),
    )),
    ("vmm.notify_socket", 253, "", "", "", (
        (("PID 1",), "", 253, "at boot", "", False),
    )),
    ("wol.password", 252, "", "", "", (
        (("systemd-udevd.service",), "", 252, "at boot", "only for a .link file with WakeOnLan=secureon and no password of its own", True),
    )),
)
