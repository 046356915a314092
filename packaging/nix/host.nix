# On a host with microvm.nix: services.guestcred.microvms.NAME says which secrets the VM microvm.vms.NAME is offered. The
# VM's own command line stays as microvm.nix makes it: shares, interfaces, volumes and vsock.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.guestcred;
  inherit (lib)
    mkDefault
    mkIf
    mkOption
    types
    ;

  # as systemd takes it: credential_name_valid(); its file in the unit has the same name
  # in the file for `guestcred launch` a line that begins with '#' or '-' is something else
  named =
    name: builtins.match "[ -.0-9;-<>-~]{1,255}" name != null && builtins.match "[#-].*|[.]{1,2}" name == null;
  standIn = pkgs.callPackage ./stand-in.nix { guestcred = cfg.package; };

  microvm = types.submodule {
    options = {
      credentials = mkOption {
        type = types.attrsOf (
          types.submodule (
            { name, ... }:
            {
              options.file = mkOption {
                # no path: that would copy the secret into the store, which everybody reads
                type = types.strMatching "/[^\n:]+";
                # a check of the names around this would be lost: attrsOf makes its type anew for a submodule
                apply = file: if named name then file else throw "no credential can have the name ${builtins.toJSON name}";
                example = "/run/secrets/api-key";
                description = "Where the host has it: a file of sops-nix, agenix or clan vars, or any other; as a string.";
              };
            }
          )
        );
        default = { };
        description = "The secrets, by the names that the guest has for them.";
      };
      literals = mkOption {
        type = types.addCheck (types.attrsOf (types.strMatching "[^\n]*")) (
          literals: lib.all named (builtins.attrNames literals)
        );
        default = { };
        description = "What is no secret, by name; it is in the store, which everybody reads.";
      };
      notify = mkOption {
        type = types.nullOr (
          types.enum [
            "vm"
            "guest"
            "none"
          ]
        );
        default = null;
        description = "When the unit is started: see --notify of `guestcred launch`.";
      };
      after = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "sops-install-secrets.service" ];
        description = "Units that make the secrets; the VM waits for them.";
      };
      setPackage = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether to set the hypervisor's package in microvm.vms.NAME.config. A VM that is a flake of its own sets it there:
          microvm.cloud-hypervisor.package = pkgs.guestcredStandIn pkgs.cloud-hypervisor;
        '';
      };
    };
  };

  launch =
    name: vm:
    pkgs.writeText "guestcred-${name}.launch" (
      lib.concatStringsSep "\n" (
        map (credential: "${credential}=${credential}") (builtins.attrNames vm.credentials)
        ++ lib.mapAttrsToList (literal: value: "--set=${literal}=${value}") vm.literals
        ++ lib.optional (vm.notify != null) "--notify=${vm.notify}"
        ++ [ "" ]
      )
    );

  # systemd.exec(5): % begins a specifier
  escaped = builtins.replaceStrings [ "%" ] [ "%%" ];
in
{
  options.services.guestcred = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      description = "The package with the program.";
    };
    microvms = mkOption {
      type = types.attrsOf microvm;
      default = { };
      description = "What each VM of microvm.nix is offered.";
    };
  };

  config = mkIf (cfg.microvms != { }) {
    environment.systemPackages = [ cfg.package ];

    systemd.services = lib.mapAttrs' (name: vm: {
      name = "microvm@${name}";
      value = {
        overrideStrategy = mkDefault "asDropin";
        wants = vm.after;
        inherit (vm) after;
        serviceConfig = {
          LoadCredential =
            lib.mapAttrsToList (
              credential: secret: "${escaped credential}:${escaped secret.file}"
            ) vm.credentials
            ++ [ "guestcred.launch:${launch name vm}" ];
          # the guest's memory holds them
          LimitCORE = mkDefault 0;
        };
      };
    }) cfg.microvms;

    microvm.vms = lib.mapAttrs (_: _vm: {
      config =
        { config, ... }:
        {
          microvm = {
            cloud-hypervisor.package = mkDefault (standIn config.microvm.vmHostPackages.cloud-hypervisor);
            qemu.package = mkDefault (standIn config.microvm.vmHostPackages.qemu_kvm);
          };
        };
    }) (lib.filterAttrs (_: vm: vm.setPackage) cfg.microvms);
  };
}
