#include "guest/setup/ssh_files.h"

#include "guest/setup/program_files.h"

namespace vmcore::guest {

Result<std::vector<ImageFile>> ssh_files(const Root& root, const SshConfig& ssh) {
  // It asks who it runs as.
  std::vector<ImageFile> files = {{"/etc/passwd", 0644, "root:x:0:0:root:/:/bin/sh\n"}};
  TRY_ASSIGN(const std::vector<std::string> programs, program_files(root, ssh.client));
  for (const std::string& path : programs) {
    TRY_ASSIGN(std::string content, root.read(path));
    files.push_back({path, 0755, std::move(content)});
  }
  for (const std::string& path : {ssh.key, ssh.known_hosts}) {
    TRY_ASSIGN(std::string content, root.read(path));
    files.push_back({path, 0600, std::move(content)});
  }
  return files;
}

}  // namespace vmcore::guest
