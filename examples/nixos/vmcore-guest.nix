# SPDX-License-Identifier: GPL-2.0-or-later
# A NixOS module that does what `vmcore-guest setup` does elsewhere:
#
#   imports = [ ./vmcore-guest.nix ];
#   services.vmcore-guest = {
#     enable = true;
#     program = "/var/lib/vmcore-guest/bin/vmcore-guest";   # copied there, with libexec/ beside bin/
#   };
#
# `vmcore-guest status` tells, after `nixos-rebuild boot` and a reboot, whether a crash would be saved.
{ config, lib, ... }:

let
  cfg = config.services.vmcore-guest;
in
{
  options.services.vmcore-guest = {
    enable = lib.mkEnableOption "the capture kernel that saves a crash of this guest";
    program = lib.mkOption {
      type = lib.types.str;
      description = "The path of vmcore-guest, a static program.";
    };
    crashkernel = lib.mkOption {
      type = lib.types.str;
      default = "128M";
      description = "The memory to reserve, as `vmcore-guest estimate` prints it.";
    };
    settings = lib.mkOption {
      type = lib.types.lines;
      default = "";
      example = "target = port";
      description = "The content of /etc/vmcore-guest.conf.";
    };
  };

  config = lib.mkIf cfg.enable {
    boot.kernelParams = [ "crashkernel=${cfg.crashkernel}" ];
    # Report VMCOREINFO and panics to the host.
    boot.kernelModules = [ "qemu_fw_cfg" "pvpanic-mmio" "pvpanic-pci" ];
    environment.etc."vmcore-guest.conf".text = "version = 1\n" + cfg.settings;
    systemd.services.vmcore-guest = {
      description = "Capture kernel that saves a crash";
      documentation = [ "man:vmcore-guest(8)" ];
      unitConfig = {
        DefaultDependencies = false;
        ConditionKernelCommandLine = "crashkernel";
      };
      after = [ "local-fs.target" "systemd-modules-load.service" ];
      before = [ "basic.target" "systemd-pstore.service" ];
      wantedBy = [ "basic.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = [ "-${cfg.program} collect" "${cfg.program} load" ];
        ExecReload = "${cfg.program} load --reload";
        ExecStop = "${cfg.program} unload";
      };
    };
    services.udev.extraRules = ''
      SUBSYSTEM=="cpu|memory", ACTION=="add|remove|online|offline", ATTRS{crash_hotplug}!="1", RUN+="${config.systemd.package}/bin/systemctl --no-block try-reload-or-restart vmcore-guest.service"
    '';
  };
}
