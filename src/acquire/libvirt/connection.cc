// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/connection.h"

#include <libvirt/virterror.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "src/base/number.h"
#include "src/base/start_thread.h"

namespace vmcore::acquire {
namespace {

// How long a daemon that is restarted may take.
constexpr std::chrono::seconds kReturnTimeout{5};
constexpr std::chrono::milliseconds kTryEvery{100};

Errc code_of(int libvirt_code) {
  switch (libvirt_code) {
    case VIR_ERR_NO_DOMAIN:
      return Errc::not_found;
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_OPERATION_DENIED:
      return Errc::denied;
    case VIR_ERR_OPERATION_TIMEOUT:
      return Errc::busy;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
      return Errc::unsupported;
    default:
      return Errc::io;
  }
}

// libvirt prints errors unless somebody takes them.
void ignore_error(void*, virErrorPtr) {}

// Runs libvirt's default event loop. With an embedded driver it is the driver's loop as well.
class EventLoop {
 public:
  EventLoop() {
    virSetErrorFunc(nullptr, ignore_error);
    if (virInitialize() != 0 || virEventRegisterDefaultImpl() != 0) {
      return;
    }
    timer_ = virEventAddTimeout(
        -1, [](int, void*) {}, nullptr, nullptr);
    is_registered_ = true;
  }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() {
    if (thread_.joinable()) {
      stop_ = true;
      virEventUpdateTimeout(timer_, 0);  // wakes it
      thread_.join();
    }
  }
  // Once; what could not be started may be the next time.
  Result<> start() {
    const std::lock_guard lock(mutex_);
    if (!is_registered_) {
      return libvirt_failure("libvirt's event loop");
    }
    if (!thread_.joinable()) {
      TRY_ASSIGN(thread_, start_thread<std::thread>([this] {
                   while (!stop_ && virEventRunDefaultImpl() == 0) {
                   }
                 }));
    }
    return {};
  }

 private:
  int timer_ = -1;
  bool is_registered_ = false;
  std::mutex mutex_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// We pass paths and descriptors of this host to libvirt, so it must run here.
Result<> refuse_remote(const std::string& uri) {
  const std::size_t end = uri.find("://");
  if (end == std::string::npos) {
    return {};
  }
  const std::string scheme = uri.substr(0, end);
  const std::size_t plus = scheme.find('+');
  const bool remote_transport = plus != std::string::npos && scheme.substr(plus) != "+unix";
  if (remote_transport || uri.compare(end + 3, 1, "/") != 0) {
    return fail(Errc::unsupported,
                "{} is on another host: run vmcorectl there, or here with --remote", uri);
  }
  return {};
}

// About a connection that failed. libvirt tells the number of a system's error (libvirt 9.0
// src/util/virerror.c, virReportSystemErrorFull).
std::string what_to_do() {
  const virError* const error = virGetLastError();
  if (error == nullptr || error->code != VIR_ERR_SYSTEM_ERROR) {
    return "";
  }
  switch (error->int1) {
    case ENOENT:
    case ECONNREFUSED:
      return " (start libvirt: systemctl start libvirtd, or virtqemud; or give another URI with "
             "-c)";
    case EACCES:
      return " (be root, or a member of the group libvirt)";
    default:
      return "";
  }
}

std::string uri_of(virConnect* connection) {
  char* const text = virConnectGetURI(connection);
  std::string uri = text != nullptr ? text : "";
  std::free(text);
  return uri;
}

std::optional<int> as_id(const std::string& text) {
  const auto id = parse_number<int>(text);
  return id && *id >= 0 ? id : std::nullopt;
}

}  // namespace

tl::unexpected<Error> libvirt_failure(std::string_view what) {
  const virError* error = virGetLastError();
  if (error == nullptr || error->message == nullptr) {
    return fail(Errc::io, "{}: libvirt gives no reason", what);
  }
  return fail(code_of(error->code), "{}: {}", what, error->message);
}

Result<LibvirtConnection> connect_libvirt(const std::string& uri) {
  static EventLoop loop;
  TRY(loop.start());
  TRY(refuse_remote(uri));
  LibvirtConnection connection(virConnectOpen(uri.empty() ? nullptr : uri.c_str()));
  if (!connection) {
    auto failure = libvirt_failure(
        fmt::format("no connection to libvirt at {}", uri.empty() ? "its default URI" : uri));
    failure.value().message += what_to_do();
    return failure;
  }
  TRY(refuse_remote(uri_of(connection.get())));  // the default may be remote
  // Without answers to keep-alive messages, calls do not wait for ever. Not every driver has it.
  static_cast<void>(virConnectSetKeepAlive(connection.get(), 5, 6));
  return connection;
}

Result<LibvirtConnection> connect_again(const std::string& uri) {
  const auto deadline = std::chrono::steady_clock::now() + kReturnTimeout;
  while (true) {
    Result<LibvirtConnection> connection = connect_libvirt(uri);
    if (connection || std::chrono::steady_clock::now() >= deadline) {
      return connection;
    }
    std::this_thread::sleep_for(kTryEvery);
  }
}

Result<std::uint64_t> version_of(virConnect* connection) {
  unsigned long version = 0;  // NOLINT(google-runtime-int): libvirt's type
  if (virConnectGetLibVersion(connection, &version) != 0) {
    return libvirt_failure("libvirt's version");
  }
  return version;
}

Result<LibvirtDomain> find_domain(virConnect* connection, const std::string& domain, LookUp how) {
  const std::optional<int> id = as_id(domain);
  LibvirtDomain by_id(how != LookUp::name && id ? virDomainLookupByID(connection, *id) : nullptr);
  LibvirtDomain by_name(how != LookUp::id ? virDomainLookupByName(connection, domain.c_str())
                                          : nullptr);
  if (by_id && by_name && virDomainGetID(by_name.get()) != static_cast<unsigned>(*id)) {
    return fail(Errc::invalid,
                "{} is the id of one domain and the name of another: give --id or --name", domain);
  }
  if (by_id) {
    return by_id;
  }
  if (by_name) {
    return by_name;
  }
  if (how == LookUp::any) {
    virResetLastError();
    if (LibvirtDomain by_uuid(virDomainLookupByUUIDString(connection, domain.c_str())); by_uuid) {
      return by_uuid;
    }
  }
  if (virConnectIsAlive(connection) != 1) {
    return libvirt_failure("the connection to libvirt broke");
  }
  const char* const what = how == LookUp::id     ? "id"
                           : how == LookUp::name ? "name"
                                                 : "name, id or UUID";
  return fail(Errc::not_found, "no domain at {} has the {} \"{}\"", uri_of(connection), what,
              domain);
}

std::string uuid_of(virDomain* domain) {
  char text[VIR_UUID_STRING_BUFLEN] = "";
  return virDomainGetUUIDString(domain, text) == 0 ? text : "";
}

Result<std::string> definition_of(virDomain* domain, unsigned flags) {
  const std::unique_ptr<char, decltype(&std::free)> text(virDomainGetXMLDesc(domain, flags),
                                                         std::free);
  if (!text) {
    return libvirt_failure("the domain's definition");
  }
  return std::string(text.get());
}

}  // namespace vmcore::acquire
