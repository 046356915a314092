# guestcred with its units, its documentation and the host's scripts: callPackage ./package.nix { }
{
  lib,
  coreutils,
  gawk,
  python3,
  util-linux,
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
    systemd-python
  ];
  # the tests need root, QEMU and Debian's images
  doCheck = false;
  pythonImportsCheck = [ "guestcred" ];

  postInstall = ''
    sh packaging/install $out $out/lib/systemd/system
    substituteInPlace $(find $out/lib/systemd/system -type f) --replace-quiet /usr/bin/guestcred $out/bin/guestcred \
      --replace-quiet /bin/mkdir ${coreutils}/bin/mkdir --replace-quiet /usr/libexec/guestcred $out/libexec/guestcred
    substituteInPlace $out/libexec/guestcred/look --replace-fail "setpriv --" "${util-linux}/bin/setpriv --" \
      --replace-fail " awk '" " ${gawk}/bin/awk '" --replace-fail "mkdir -p" "${coreutils}/bin/mkdir -p"
  '';

  meta = {
    description = "Find out where a credential got lost between the hypervisor and the guest";
    license = lib.licenses.mit;
    mainProgram = "guestcred";
    platforms = lib.platforms.linux;
  };
}
