# guestcred with its units, its documentation and the host's scripts: callPackage ./package.nix { }
{
  lib,
  coreutils,
  python3,
  src ? ../..,
}:

python3.pkgs.buildPythonApplication {
  pname = "guestcred";
  # __init__.py has the one version there is
  version = builtins.head (
    builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile (src + "/guestcred/__init__.py"))
  );
  pyproject = true;
  inherit src;
  build-system = [ python3.pkgs.setuptools ];
  dependencies = with python3.pkgs; [
    click
    construct
    jeepney
    systemd-python
  ];
  # the tests need root, QEMU and Debian's images
  doCheck = false;
  pythonImportsCheck = [ "guestcred" ];

  postInstall = ''
    install -D -m 0644 -t $out/lib/systemd/system packaging/systemd/*.service packaging/systemd/*.mount
    for unit in packaging/systemd/*.timer packaging/systemd/*.path packaging/systemd/*.socket; do
      [ ! -e "$unit" ] || install -D -m 0644 -t $out/lib/systemd/system "$unit"
    done
    for folder in guestcred.service.d guestcred-.service.d; do
      install -D -m 0644 -t $out/lib/systemd/system/$folder packaging/systemd/$folder/*.conf
    done
    install -D -m 0644 -t $out/lib/systemd/catalog packaging/systemd/*.catalog
    install -D -m 0644 -t $out/lib/systemd/system-preset packaging/systemd/*.preset
    install -D -m 0755 -t $out/libexec/guestcred packaging/host/stand-in
    install -D -m 0644 -t $out/share/doc/guestcred README.md SECURITY.md
    install -D -m 0644 -t $out/share/doc/guestcred/docs docs/*.md
    install -D -m 0644 -t $out/share/doc/guestcred/examples packaging/examples/*
    substituteInPlace $(find $out/lib/systemd/system -type f) --replace-quiet /usr/bin/guestcred $out/bin/guestcred \
      --replace-quiet /bin/mkdir ${coreutils}/bin/mkdir
  '';

  meta = {
    description = "Find out where a credential got lost between the hypervisor and the guest";
    license = lib.licenses.mit;
    mainProgram = "guestcred";
    platforms = lib.platforms.linux;
  };
}
