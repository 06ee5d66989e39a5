// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/ssh_files.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/elf_program.h"
#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::image {
namespace {

TEST(CheckSsh, WhatIsMissingIsToldWithWhatMendsIt) {
  const FolderRoot folder;
  const auto said = [&folder] {
    const auto checked = check_ssh(folder.root(), {}, *config::parse_endpoint("192.0.2.1:2222"));
    return checked ? "" : checked.error().message;
  };
  EXPECT_EQ(said(),
            "/usr/bin/ssh: No such file or directory: install the OpenSSH client, or set "
            "ssh-client = FILE");
  folder.write("/usr/bin/ssh", elf_program("", {"libz.so.1"}));
  EXPECT_EQ(said().find("/usr/bin/ssh: its library libz.so.1 was not found in "), 0U) << said();
  folder.write("/usr/bin/ssh", elf_program("", {}));
  EXPECT_EQ(said(),
            "/etc/vmcore-guest/ssh-key: No such file or directory: create a key with `ssh-keygen "
            "-t ed25519 -N '' -f /etc/vmcore-guest/ssh-key`, and add /etc/vmcore-guest/ssh-key.pub "
            "to authorized_keys on the other machine");
  folder.write("/etc/vmcore-guest/ssh-key", "a key");
  const std::string scan =
      ": add its key with `ssh-keyscan -p 2222 192.0.2.1 >> /etc/vmcore-guest/ssh-known-hosts`, "
      "and verify it";
  EXPECT_EQ(said(), "/etc/vmcore-guest/ssh-known-hosts: No such file or directory" + scan);
  folder.write("/etc/vmcore-guest/ssh-known-hosts", "192.0.2.2 ssh-ed25519 AAAA\n");
  EXPECT_EQ(said(), "/etc/vmcore-guest/ssh-known-hosts has no key of 192.0.2.1" + scan);
  folder.write("/etc/vmcore-guest/ssh-known-hosts", "[192.0.2.1]:2222 ssh-ed25519 AAAA\n");
  EXPECT_EQ(said(), "");
}

TEST(MayKnow, AHostByItsAddress) {
  const config::Endpoint host = *config::parse_endpoint("192.0.2.1:2222");
  for (const char* const hosts :
       {"192.0.2.1 ssh-rsa A", "# x\n\n  a,192.0.2.1 ssh-rsa A\n", "[192.0.2.1]:2222,b ssh-rsa A",
        "|1|salt=|hash= ssh-rsa A", "192.0.2.* ssh-rsa A", "@cert-authority 192.0.2.1 ssh-rsa A"}) {
    EXPECT_TRUE(may_know(hosts, host)) << hosts;
  }
  for (const char* const hosts : {"", "\n \n", "#192.0.2.1 ssh-rsa A", "192.0.2.10 ssh-rsa A",
                                  "[192.0.2.1]:22 ssh-rsa A", "other ssh-rsa 192.0.2.1"}) {
    EXPECT_FALSE(may_know(hosts, host)) << hosts;
  }
  EXPECT_TRUE(may_know("fd00::1 ssh-rsa A", *config::parse_endpoint("[fd00::1]:22")));
}

}  // namespace
}  // namespace vmcore::guest::image
