# { module = "guest" or "host"; settings = the services.guestcred of a machine; } -> what NixOS would get of it, as JSON.
{
  lib ? import ./lib.nix,
  module,
  settings,
}:

let
  packaging = ../../packaging/nix;
  # derivations are only names here: nothing is built
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/store/${name}";
    pname = name;
    version = "1";
    override = _: package "${name}-overridden";
    overrideAttrs = _: package "${name}-changed";
  };
  pkgs = {
    inherit lib;
    writeText = name: text: "/store/${name}:${text}";
    callPackage =
      file: arguments:
      if baseNameOf file == "package.nix" then
        package "guestcred"
      else
        import file (
          {
            inherit lib;
            runtimeShell = "/bin/sh";
            runCommand = name: _: script: (package name) // { inherit script; };
          }
          // arguments
        );
    inherit (package "x") version;
  };
  guest = {
    config.microvm.vmHostPackages = {
      cloud-hypervisor = package "cloud-hypervisor";
      qemu_kvm = package "qemu";
    };
  };
  # where nixpkgs is real, the options that NixOS itself has
  surroundings = {
    options = builtins.listToAttrs (
      map
        (name: {
          inherit name;
          value = lib.mkOption {
            type = lib.types.anything;
            default = { };
          };
        })
        [
          "boot"
          "environment"
          "systemd"
          "microvm"
        ]
    );
  };
  inherit
    (lib.evalModules {
      modules = [
        surroundings
        (packaging + "/${module}.nix")
        { config.services.guestcred = settings; }
      ];
      specialArgs = { inherit pkgs; };
    })
    config
    ;
  vm = _: definition: {
    inherit ((definition.config guest).microvm) cloud-hypervisor qemu;
  };
  shown =
    drv:
    let
      made = drv.content or drv;
    in
    {
      inherit (made) name script version;
      overridden = (made.override { }).name;
    };
in
builtins.removeAttrs config [
  "services"
  "environment"
  "microvm"
  "_module"
]
// {
  etc = config.environment.etc or { };
  packages = map (found: found.name) (config.environment.systemPackages or [ ]);
  systemd = (config.systemd or { }) // {
    packages = map (found: found.name) (config.systemd.packages or [ ]);
  };
  vms = builtins.mapAttrs (
    name: definition:
    builtins.mapAttrs (_: hypervisor: shown hypervisor.package) (vm name definition)
  ) (config.microvm.vms or { });
}
