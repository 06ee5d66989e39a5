// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/packages.h"

#include <algorithm>
#include <array>
#include <map>

#include "src/debuginfo/places.h"

namespace vmcore::debuginfo {
namespace {

using Words = std::map<std::string_view, std::string>;

bool has(std::string_view text, std::string_view part) {
  return !part.empty() && text.find(part) != std::string_view::npos;
}

// The digits behind `mark`: "9" of "5.14.0-427.el9_4.x86_64" behind ".el".
std::string number_behind(std::string_view text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) {
    return "";
  }
  text.remove_prefix(at + mark.size());
  return std::string(text.substr(0, text.find_first_not_of("0123456789")));
}

// "6.12" of "6.12.118+deb13-amd64".
std::string version_of(std::string_view release) {
  const std::size_t dot = release.find('.');
  return std::string(release.substr(
      0, dot == std::string_view::npos ? dot : release.find_first_not_of("0123456789", dot + 1)));
}

// The suite of a kernel by marks in its banner or release; the first one that is there.
using Suites = std::initializer_list<std::pair<std::string_view, std::string_view>>;
std::string suite_of(std::string_view text, Suites suites, std::string_view otherwise) {
  for (const auto& [mark, suite] : suites) {
    if (has(text, mark)) {
      return std::string(suite);
    }
  }
  return std::string(otherwise);
}

std::string debian_suite(std::string_view release) {
  const std::string suite = suite_of(release,
                                     {{"deb13", "trixie"},
                                      {"deb12", "bookworm"},
                                      {"deb11", "bullseye"},
                                      {"bpo12", "bookworm"},
                                      {"bpo11", "bullseye"},
                                      {"bpo10", "buster"},
                                      {"+bpo", "bookworm"},
                                      {"6.1.0-", "bookworm"},
                                      {"5.10.0-", "bullseye"},
                                      {"4.19.0-", "buster"}},
                                     "sid");
  return suite + (has(release, "bpo") ? "-backports" : "");
}

// A kernel of a later release that was made for an earlier one says so: "~22.04.1-Ubuntu".
std::string ubuntu_suite(const WantedKernel& kernel) {
  const std::string by_mark =
      suite_of(kernel.banner, {{"~20.04", "focal"}, {"~22.04", "jammy"}, {"~24.04", "noble"}}, "");
  return by_mark.empty() ? suite_of(version_of(kernel.release) + " ",
                                    {{"4.15 ", "bionic"},
                                     {"5.4 ", "focal"},
                                     {"5.15 ", "jammy"},
                                     {"6.8 ", "noble"},
                                     {"6.11 ", "oracular"},
                                     {"6.14 ", "plucky"},
                                     {"6.17 ", "questing"}},
                                    "SUITE")
                         : by_mark;
}

// What stands for the names in braces below.
Words words_of(const WantedKernel& kernel) {
  const std::string& release = kernel.release;
  // RHEL: "5.14.0-427.el9.x86_64+rt", and before it "4.18.0-553.rt7.342.el8_10.x86_64".
  const std::size_t plus =
      has(release, ".el") || has(release, ".fc") ? release.find('+') : std::string::npos;
  const std::string variant = plus != std::string::npos ? "-" + release.substr(plus + 1)
                              : has(release, ".rt")     ? "-rt"
                                                        : "";
  // SUSE: "6.4.0-150600.23.25-default".
  const std::size_t dash = release.rfind('-');
  const std::string version = version_of(release);
  return {{"release", release},
          {"rpm", release.substr(0, plus)},
          {"variant", variant},
          {"version", release.substr(0, dash)},
          {"flavour", dash == std::string::npos ? "default" : release.substr(dash + 1)},
          {"el", number_behind(release, ".el")},
          {"machine", has(release, "aarch64") ? "aarch64" : "x86_64"},
          {"amazon", has(release, "amzn2023") && version != "6.1" ? version : ""},
          {"debian", debian_suite(release)},
          {"ubuntu", ubuntu_suite(kernel)}};
}

std::string filled(std::string_view text, const Words& words) {
  std::string out;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.size(), text.find('{'));
    out += text.substr(0, begin);
    text.remove_prefix(begin);
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) {
      return out;
    }
    out += words.at(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
  }
  return out;
}

struct Distribution {
  std::string_view name;
  // Any of them: who built the kernel, as the banner has it, or a part of the release.
  std::array<std::string_view, 2> in_banner;
  std::array<std::string_view, 2> in_release;
  std::string_view package;
  std::array<std::string_view, 3> repositories;
  std::array<std::string_view, 3> commands;
  std::string_view note = "";
};

// The first row that fits. Rebuilds of RHEL stand before it: all of them have ".el" in a release.
constexpr std::array kDistributions{
    Distribution{"Debian",
                 {"debian-kernel@lists.debian.org"},
                 {"+deb", "+bpo"},
                 "linux-image-{release}-dbg",
                 {"deb http://deb.debian.org/debian {debian} main",
                  "deb http://security.debian.org/debian-security {debian}-security main"},
                 {"apt update", "apt install linux-image-{release}-dbg"},
                 "Earlier packages are at https://snapshot.debian.org/package/linux/"},
    Distribution{"Ubuntu",
                 {"-Ubuntu"},
                 {"-generic", "-lowlatency"},
                 "linux-image-unsigned-{release}-dbgsym",
                 {"deb http://ddebs.ubuntu.com {ubuntu} main restricted universe multiverse",
                  "deb http://ddebs.ubuntu.com {ubuntu}-updates main restricted universe "
                  "multiverse"},
                 {"apt install ubuntu-dbgsym-keyring", "apt update",
                  "apt install linux-image-unsigned-{release}-dbgsym"},
                 "Of some flavours the package is linux-image-{release}-dbgsym. Earlier packages "
                 "are at https://launchpad.net/ubuntu/+source/linux"},
    Distribution{"Fedora",
                 {"fedoraproject.org"},
                 {".fc"},
                 "kernel{variant}-debuginfo-{rpm}",
                 {"fedora-debuginfo", "updates-debuginfo"},
                 {"dnf --enablerepo=fedora-debuginfo,updates-debuginfo install "
                  "kernel{variant}-debuginfo-{rpm}"},
                 "Or: DEBUGINFOD_URLS=https://debuginfod.fedoraproject.org/ vmcorectl debuginfo "
                 "--fetch. Earlier packages are at https://koji.fedoraproject.org/"},
    Distribution{"Oracle Linux",
                 {"oracle.com", "oraclevcn.com"},
                 {"uek"},
                 "kernel-uek-debuginfo-{rpm}",
                 {"https://oss.oracle.com/ol{el}/debuginfo/"},
                 {"dnf --repofrompath=debuginfo,https://oss.oracle.com/ol{el}/debuginfo/ install "
                  "kernel-uek-debuginfo-{rpm}"},
                 "Of kernels without uek in their release the package is kernel-debuginfo-{rpm}"},
    Distribution{
        "Amazon Linux",
        {"amazon.com"},
        {".amzn"},
        "kernel{amazon}-debuginfo-{rpm}",
        {"amazonlinux-debuginfo (Amazon Linux 2023)", "amzn2-core-debuginfo (Amazon Linux 2)"},
        {"dnf --enablerepo='*debuginfo' install kernel{amazon}-debuginfo-{rpm}"}},
    Distribution{"CentOS",
                 {"centos.org"},
                 {".el7.centos"},
                 "kernel{variant}-debuginfo-{rpm}",
                 {"baseos-debug (CentOS Stream)", "http://debuginfo.centos.org/ (CentOS 7 and 8)"},
                 {"dnf --enablerepo='*debug*' install kernel{variant}-debuginfo-{rpm}"}},
    Distribution{"AlmaLinux",
                 {"almalinux.org"},
                 {},
                 "kernel{variant}-debuginfo-{rpm}",
                 {"baseos-debuginfo"},
                 {"dnf --enablerepo=baseos-debuginfo install kernel{variant}-debuginfo-{rpm}"}},
    Distribution{"Rocky Linux",
                 {"rockylinux.org", "bld.equ.rockylinux"},
                 {},
                 "kernel{variant}-debuginfo-{rpm}",
                 {"baseos-debug"},
                 {"dnf --enablerepo=baseos-debug install kernel{variant}-debuginfo-{rpm}"}},
    Distribution{"RHEL",
                 {"redhat.com"},
                 {".el"},
                 "kernel{variant}-debuginfo-{rpm}",
                 {"rhel-{el}-for-{machine}-baseos-debug-rpms"},
                 {"subscription-manager repos --enable rhel-{el}-for-{machine}-baseos-debug-rpms",
                  "dnf install kernel{variant}-debuginfo-{rpm}"},
                 "RHEL 7: repository rhel-7-server-debug-rpms. Rebuilds of RHEL have the package "
                 "in their repositories named *debug*"},
    Distribution{"SUSE",
                 {"geeko@"},
                 {"-default"},
                 "kernel-{flavour}-debuginfo",
                 {"openSUSE: repo-debug, repo-debug-update",
                  "SLES: the module Basesystem's Debuginfo-Pool and Debuginfo-Updates"},
                 {"zypper --plus-content debug install 'kernel-{flavour}-debuginfo={version}'"},
                 "The package's version may have one number more than the release"},
    Distribution{"Arch Linux",
                 {"@archlinux"},
                 {"-arch"},
                 "",
                 {},
                 {},
                 "Arch Linux publishes no debug information of its kernels: crash and drgn need a "
                 "kernel that was built with CONFIG_DEBUG_INFO, and its vmlinux. vmcorectl report "
                 "needs none"},
    Distribution{"Alpine Linux",
                 {"buildozer@"},
                 {},
                 "",
                 {},
                 {},
                 "Alpine Linux publishes no debug information of its kernels: crash and drgn need "
                 "a kernel that was built with CONFIG_DEBUG_INFO, and its vmlinux. vmcorectl "
                 "report needs none"},
};

bool fits(const Distribution& row, const WantedKernel& kernel) {
  return std::ranges::any_of(row.in_banner, [&](auto mark) { return has(kernel.banner, mark); }) ||
         std::ranges::any_of(row.in_release, [&](auto mark) { return has(kernel.release, mark); });
}

}  // namespace

report::PackageAdvice advise(const WantedKernel& kernel) {
  const auto row = std::ranges::find_if(
      kDistributions, [&](const Distribution& each) { return fits(each, kernel); });
  if (row == kDistributions.end() || !is_release(kernel.release)) {
    return {.note =
                "The kernel is of no distribution that vmcorectl knows: give the vmlinux of "
                "its build, or the folder, with --from"};
  }
  const Words words = words_of(kernel);
  report::PackageAdvice advice{.distribution = std::string(row->name),
                               .package = filled(row->package, words),
                               .note = filled(row->note, words)};
  const auto fill = [&](const auto& lines, std::vector<std::string>& out) {
    for (const std::string_view line : lines) {
      if (!line.empty()) {
        out.push_back(filled(line, words));
      }
    }
  };
  fill(row->repositories, advice.repositories);
  fill(row->commands, advice.commands);
  // These have no security updates of their own.
  std::erase_if(advice.repositories, [](const std::string& line) {
    return has(line, "sid-security") || has(line, "backports-security");
  });
  return advice;
}

bool is_package(std::string_view file_name) {
  return file_name.ends_with(".deb") || file_name.ends_with(".ddeb") || file_name.ends_with(".rpm");
}

bool is_package_of(std::string_view file_name, std::string_view release) {
  const bool is_archive = is_package(file_name) || has(file_name, ".tar");
  const std::string_view version = release.substr(0, release.rfind('-'));
  return is_archive && (has(file_name, release) || has(file_name, version));
}

}  // namespace vmcore::debuginfo
