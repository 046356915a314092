# A NixOS VM that is offered credentials by QEMU, for those who have nixpkgs: nix flake check. This project's own tests
# only parse and evaluate these files; they do not run this.
{ pkgs }:

pkgs.testers.runNixOSTest {
  name = "guestcred";

  nodes.machine = {
    imports = [ ./guest.nix ];
    services.guestcred = {
      enable = true;
      settings.services.demo = {
        user = "demo";
        load = [ "api-key:API_KEY" ];
      };
    };
    users.users.demo = {
      isSystemUser = true;
      group = "nogroup";
    };
    virtualisation.qemu.options = [
      "-smbios type=11,value=io.systemd.credential:API_KEY=no-secret,value=io.systemd.credential:ENVIRONMENT=test"
    ];
    systemd.services.demo-oem-credentials = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        LoadCredential = [ "api-key:API_KEY" ];
      };
      script = ''test "$(cat "$CREDENTIALS_DIRECTORY/api-key")" = no-secret'';
    };
  };

  testScript = ''
    machine.wait_for_unit("multi-user.target")
    machine.succeed("guestcred check --require API_KEY --require ENVIRONMENT")
    machine.succeed("systemctl is-active demo-oem-credentials.service")
    machine.succeed("guestcred why API_KEY")
    machine.succeed("test $(cat /run/guestcred/demo.service/api-key) = no-secret")
  '';
}
