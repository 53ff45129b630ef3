// A real Linux guest: Debian's kernel and a busybox, booted by QEMU without KVM.
//
// The kernel and its virtio modules come from scripts/install-peers.mjs; the initial file system is made here, a cpio
// archive of busybox, the modules and a script, so that nothing has to be installed in the guest.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { GUEST_KERNEL } from './needs.ts';

/** In the order in which they need each other. */
const MODULES = [
  ...['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci'],
  ...['failover', 'net_failover', 'virtio_net'],
];

const BUSYBOX = ['/usr/bin/busybox', '/bin/busybox'];
const REGULAR = 0o100755;
const DIRECTORY = 0o040755;
const BOOT_MS = 120_000; // several times what a slow machine needs

/** One member of a cpio archive in the "newc" form: a header of hexadecimal fields, name and data, each padded to 4 bytes. */
function member(ino: number, name: string, mode: number, data: Uint8Array): Buffer {
  const fields = [ino, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  const pad = (length: number): Buffer => Buffer.alloc((4 - (length % 4)) % 4);
  return Buffer.concat([Buffer.from(header), pad(header.length), data, pad(data.length)]);
}

function busybox(): Buffer {
  for (const path of BUSYBOX) {
    try {
      return readFileSync(path);
    } catch {
      // the other place
    }
  }
  throw new Error('busybox is not installed');
}

/** The initial file system whose init runs `script` on the interface eth0, with busybox for all commands. */
function initramfs(script: string): Buffer {
  const init = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in ${MODULES.join(' ')}; do insmod /lib/$module.ko; done
ip link set lo up
ip link set eth0 up
echo 'guest: up'
${script}
echo 'guest: done'
poweroff -f
`;
  const members: [string, number, Uint8Array][] = ['bin', 'dev', 'etc', 'lib', 'proc', 'tmp'].map((name) => [
    name,
    DIRECTORY,
    Buffer.alloc(0),
  ]);
  members.push(['bin/busybox', REGULAR, busybox()], ['init', REGULAR, Buffer.from(init)]);
  for (const file of readdirSync(GUEST_KERNEL).filter((name) => name.endsWith('.ko'))) {
    members.push([`lib/${file}`, REGULAR, readFileSync(join(GUEST_KERNEL, file))]);
  }
  members.push(['TRAILER!!!', 0, Buffer.alloc(0)]);
  return Buffer.concat(members.map(([name, mode, data], i) => member(i + 1, name, mode, data)));
}

/**
 * Boots a guest that runs `script` and ends; what it printed on its serial line.
 *
 * @param netdev  QEMU's netdev with the id n0
 */
export async function runLinux(lab: Lab, script: string, netdev = `vde,id=n0,sock=${lab.ctl}`): Promise<string> {
  const image = join(lab.dir, 'initramfs');
  writeFileSync(image, initramfs(script));
  const qemu = lab.world.start([
    ...['qemu-system-x86_64', '-accel', 'tcg', '-m', '256', '-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-display', 'none', '-serial', 'stdio'],
    ...['-kernel', join(GUEST_KERNEL, 'vmlinuz'), '-initrd', image, '-append', 'console=ttyS0 quiet panic=-1'],
    ...['-netdev', netdev, '-device', 'virtio-net-pci,netdev=n0,romfile='],
  ]);
  await qemu.until((child) => !child.running || child.stdout.includes('guest: done'), BOOT_MS, 'the guest is done');
  await qemu.stop();
  return qemu.stdout.replaceAll('\r', '');
}
