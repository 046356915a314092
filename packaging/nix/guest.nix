# In a guest: services.guestcred.enable = true; imports what the hypervisor offers, rescues what PID 1 missed, and gives
# services without LoadCredential= their directories.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.guestcred;
  inherit (lib) mkEnableOption mkIf mkOption types;

  # as guestcred itself refuses: guestcred/guest/config.py, guestcred/systemd/rules.py
  credential = types.strMatching "[ -.0-9;-~]{1,255}";
  printable = types.strMatching "[ -~]+";
  pair = types.strMatching "[ -.0-9;-~]{1,255}(:[ -~]+)?";
  default = types.strMatching "[ -.0-9;-~]{1,255}:.*";
  unit = "[A-Za-z0-9:_\\@-][A-Za-z0-9:_.\\@-]*";
  other = ".*\\.(socket|mount|swap|timer|target|path|slice|scope|device|automount)";

  named = name: builtins.match unit name != null && builtins.match other name == null;

  service = types.submodule ({ name, ... }: {
    options = {
      user = mkOption {
        type = printable;
        apply = user: if named name then user else throw "no service can have the name ${builtins.toJSON name}";
        description = "The user that may read them.";
      };
      load = mkOption {
        type = types.listOf pair;
        default = [ ];
        example = [ "api-key:API_KEY" ];
        description = "ID:SOURCE, as LoadCredential= has it.";
      };
      import = mkOption {
        type = types.listOf printable;
        default = [ ];
        example = [ "TLS_*" ];
        description = "Patterns, as ImportCredential= has them.";
      };
      set = mkOption {
        type = types.listOf default;
        default = [ ];
        description = "ID:VALUE where nothing else gives it; the store is readable by everybody, so no secret.";
      };
      required = mkOption {
        type = types.listOf credential;
        default = [ ];
        description = "IDs without which nothing is written.";
      };
    };
  });

  # a JSON string is a TOML string, and so is a list of them
  toml = lib.concatStringsSep "\n" (
    lib.mapAttrsToList (
      unitName: keys:
      lib.concatStringsSep "\n" (
        [
          "[services.${builtins.toJSON unitName}]"
          "user = ${builtins.toJSON keys.user}"
        ]
        ++ lib.concatMap (key: lib.optional (keys.${key} != [ ]) "${key} = ${builtins.toJSON keys.${key}}") [
          "load"
          "import"
          "set"
          "required"
        ]
        ++ [ "" ]
      )
    ) cfg.settings.services
  );

  # what the units' own [Install] says: NixOS does not read it
  wanted =
    file:
    let
      lines = lib.splitString "\n" (builtins.readFile (../systemd + "/${file}"));
      targets = lib.concatMap (
        line:
        let
          found = builtins.match "WantedBy=(.*)" line;
        in
        if found == null then [ ] else lib.splitString " " (builtins.head found)
      ) lines;
    in
    targets;
  files = builtins.attrNames (builtins.readDir ../systemd);
  unitsOf =
    suffix:
    builtins.listToAttrs (
      lib.concatMap (
        file:
        let
          found = builtins.match "(.*)\\.${suffix}" file;
        in
        if found == null || wanted file == [ ] then
          [ ]
        else
          [
            {
              name = builtins.head found;
              value.wantedBy = wanted file;
            }
          ]
      ) files
    );
in
{
  options.services.guestcred = {
    enable = mkEnableOption "the guest side of guestcred";
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      description = "The package with the program and its units.";
    };
    settings.services = mkOption {
      type = types.attrsOf service;
      default = { };
      example.demo = {
        user = "demo";
        load = [ "api-key:API_KEY" ];
      };
      description = "Services that systemd does not start with credentials: /etc/guestcred/nixos.toml.";
    };
  };

  config = mkIf cfg.enable {
    # PID 1 reads the table through this module only, and that of the initrd reads it first; both kinds of initrd load it
    boot.initrd.kernelModules = [ "dmi-sysfs" ];
    boot.kernelModules = [ "dmi-sysfs" ];
    environment.systemPackages = [ cfg.package ];
    environment.etc = mkIf (cfg.settings.services != { }) { "guestcred/nixos.toml".text = toml; };
    systemd.packages = [ cfg.package ];
    systemd.services = unitsOf "service";
    systemd.timers = unitsOf "timer";
  };
}
