# A hypervisor's package -> the same with its programs stood in for: they offer the secrets that
# $CREDENTIALS_DIRECTORY/guestcred.launch names, and without that file they are the real ones.
{
  lib,
  runCommand,
  runtimeShell,
  guestcred,
}:

let
  standIn =
    real:
    let
      made =
        runCommand "${real.pname or "hypervisor"}-${real.version or "0"}-guestcred"
          {
            passthru.real = real;
            meta = real.meta or { };
          }
          ''
            mkdir -p $out/bin $out/guestcred
            for entry in ${real}/*; do
              [ "''${entry##*/}" = bin ] || ln -s "$entry" $out/
            done
            for program in ${real}/bin/*; do
              name=''${program##*/}
              case $name in
              cloud-hypervisor) variable=GUESTCRED_CLOUD_HYPERVISOR ;;
              qemu-system-* | qemu-kvm) variable=GUESTCRED_QEMU ;;
              *) variable= ;;
              esac
              if [ -z "$variable" ]; then
                ln -s "$program" $out/bin/
                continue
              fi
              ln -s ${guestcred}/libexec/guestcred/stand-in "$out/guestcred/$name"
              cat >"$out/bin/$name" <<EOF
            #!${runtimeShell}
            export GUESTCRED=${guestcred}/bin/guestcred $variable=$program
            exec $out/guestcred/$name "\$@"
            EOF
              chmod 0755 "$out/bin/$name"
            done
          '';
    in
    made
    // {
      pname = real.pname or "hypervisor";
      version = real.version or "0";
      # microvm.nix overrides QEMU's package once more
      override = arguments: standIn (real.override arguments);
      overrideAttrs = change: standIn (real.overrideAttrs change);
    };
in
standIn
