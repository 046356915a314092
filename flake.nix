{
  description = "guestcred: where a credential got lost between the hypervisor and the guest";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = nixpkgs.lib.genAttrs systems;
      from = system: nixpkgs.legacyPackages.${system}.extend self.overlays.default;
    in
    {
      overlays.default = final: _previous: {
        guestcred = final.callPackage ./packaging/nix/package.nix { };
        guestcredStandIn = final.callPackage ./packaging/nix/stand-in.nix { };
      };
      packages = each (system: {
        default = (from system).guestcred;
        inherit (from system) guestcred;
        cloud-hypervisor = (from system).guestcredStandIn (from system).cloud-hypervisor;
      });
      nixosModules = {
        guest = ./packaging/nix/guest.nix;
        host = ./packaging/nix/host.nix;
        default = ./packaging/nix/guest.nix;
      };
      checks.x86_64-linux.guest = import ./packaging/nix/test.nix {
        pkgs = from "x86_64-linux";
      };
    };
}
