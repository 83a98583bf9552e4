/** How FFmpeg is installed on this machine, for error messages. */

/** One manager's command, and the distributions (ID or ID_LIKE of os-release(5)) that have it. */
const MANAGERS: ReadonlyArray<readonly [ids: RegExp, command: string]> = [
  [/^(debian|ubuntu|linuxmint|raspbian|pop)$/, "sudo apt install ffmpeg"],
  [/^(fedora|rhel|centos|rocky|almalinux)$/, "sudo dnf install ffmpeg (or ffmpeg-free)"],
  [/^(arch|manjaro|endeavouros)$/, "sudo pacman -S ffmpeg"],
  [/^(suse|opensuse.*|sles)$/, "sudo zypper install ffmpeg"],
  [/^alpine$/, "sudo apk add ffmpeg"],
  [/^nixos$/, "nix-env -iA nixos.ffmpeg"],
  [/^gentoo$/, "sudo emerge media-video/ffmpeg"],
];

/**
 * What to type, such as "sudo apt install ffmpeg".
 *
 * @param platform - as `process.platform`
 * @param osRelease - the text of /etc/os-release, "" if there is none
 */
export function installHint(platform: string, osRelease: string): string {
  if (platform === "darwin") return "brew install ffmpeg";
  if (platform === "win32") return "winget install Gyan.FFmpeg";
  for (const id of distributions(osRelease)) {
    const command = MANAGERS.find(([ids]) => ids.test(id))?.[1];
    if (command !== undefined) return command;
  }
  return "see https://ffmpeg.org/download.html";
}

/** ID first, then those that it is like, the nearest first. */
function distributions(osRelease: string): string[] {
  const value = (key: string): string => new RegExp(`^${key}=["']?([^"'\\n]*)`, "m").exec(osRelease)?.[1] ?? "";
  return `${value("ID")} ${value("ID_LIKE")}`.toLowerCase().split(/\s+/).filter(Boolean);
}
