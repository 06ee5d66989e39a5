// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/server.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <elfutils/debuginfod.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <sstream>

#include "src/base/fd.h"
#include "src/base/number.h"

namespace vmcore::debuginfo {
namespace {

// The libcurl that libdebuginfod has loaded. It is none that this program names: Debian's has
// another file name than others', and a second one in a process disturbs the first.
struct Curl {
  struct Found {
    void* address;
    template <class Function>
    operator Function*() const {  // NOLINT(google-explicit-constructor)
      return reinterpret_cast<Function*>(address);
    }
  };
  static Found find(const char* name) { return {::dlsym(RTLD_DEFAULT, name)}; }

  decltype(&::curl_multi_init) multi_init = find("curl_multi_init");
  decltype(&::curl_multi_cleanup) multi_cleanup = find("curl_multi_cleanup");
  decltype(&::curl_multi_add_handle) multi_add_handle = find("curl_multi_add_handle");
  decltype(&::curl_multi_remove_handle) multi_remove_handle = find("curl_multi_remove_handle");
  decltype(&::curl_multi_perform) multi_perform = find("curl_multi_perform");
  decltype(&::curl_multi_poll) multi_poll = find("curl_multi_poll");  // libcurl 7.66
  decltype(&::curl_multi_info_read) multi_info_read = find("curl_multi_info_read");
  decltype(&::curl_easy_init) easy_init = find("curl_easy_init");
  decltype(&::curl_easy_cleanup) easy_cleanup = find("curl_easy_cleanup");
  decltype(&::curl_easy_setopt) easy_setopt = find("curl_easy_setopt");
  decltype(&::curl_easy_strerror) easy_strerror = find("curl_easy_strerror");
};

using Multi = std::unique_ptr<CURLM, decltype(&::curl_multi_cleanup)>;
using Easy = std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)>;

// Ends the transfer: one byte tells enough.
std::size_t answered(const char* /*data*/, std::size_t /*size*/, std::size_t /*count*/,
                     void* was_answered) {
  *static_cast<bool*>(was_answered) = true;
  return 0;
}

// Asks for the server's metrics: the only page that costs it nothing. Any answer will do.
Easy question_to(const Curl& curl, const std::string& url, bool& was_answered) {
  Easy easy(curl.easy_init(), curl.easy_cleanup);
  const std::string page = url + (url.ends_with('/') ? "metrics" : "/metrics");
  curl.easy_setopt(easy.get(), CURLOPT_URL, page.c_str());
  curl.easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl.easy_setopt(easy.get(), CURLOPT_TIMEOUT, static_cast<long>(kServerSeconds));
  curl.easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  // Else the end of a transfer waits for name servers that do not answer. Since libcurl 7.87;
  // earlier ones do not know it, and say so.
  curl.easy_setopt(easy.get(), CURLOPT_QUICK_EXIT, 1L);
  curl.easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, &answered);
  curl.easy_setopt(easy.get(), CURLOPT_HEADERDATA, &was_answered);
  return easy;
}

std::vector<std::string> configured_servers() {
  const char* const text = std::getenv(DEBUGINFOD_URLS_ENV_VAR);
  std::istringstream words(text == nullptr ? "" : text);
  std::vector<std::string> urls;
  for (std::string word; words >> word;) {
    urls.push_back(word);
  }
  return urls;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

// One file that is being fetched.
struct Transfer {
  using Clock = std::chrono::steady_clock;
  ServerPatience patience = {};
  Clock::time_point last = Clock::now();  // when something came
  bool has_begun = false;
  long bytes = 0;
  bool is_stalled = false;
};

// libdebuginfod calls it at least once a second, and names the server as soon as that sends a file.
// Before that, `done` counts calls and not bytes (debuginfod-client.c of elfutils 0.188).
int on_progress(debuginfod_client* client, long done, long /*all*/) {
  auto& transfer = *static_cast<Transfer*>(::debuginfod_get_user_data(client));
  const bool has_begun = ::debuginfod_get_url(client) != nullptr;
  if (has_begun && (!transfer.has_begun || done != transfer.bytes)) {
    transfer.has_begun = true;
    transfer.bytes = done;
    transfer.last = Transfer::Clock::now();
  }
  transfer.is_stalled = Transfer::Clock::now() - transfer.last >
                        (has_begun ? transfer.patience.between : transfer.patience.first);
  return transfer.is_stalled ? 1 : 0;
}

// DEBUGINFOD_TIMEOUT, which libdebuginfod obeys as well.
ServerPatience as_configured(ServerPatience patience) {
  const char* const text = std::getenv(DEBUGINFOD_TIMEOUT_ENV_VAR);
  const auto seconds = text == nullptr ? std::nullopt : parse_number<unsigned>(text);
  if (seconds && *seconds != 0) {
    patience.first = std::chrono::seconds(*seconds);
  }
  return patience;
}

}  // namespace

std::vector<std::string> living_servers(const std::vector<std::string>& urls,
                                        std::vector<Error>& dead) {
  const Curl curl;
  if (curl.multi_poll == nullptr) {
    return urls;  // a libdebuginfod that cannot fetch says so itself
  }
  const Multi multi(curl.multi_init(), curl.multi_cleanup);
  std::map<std::string, bool> heard;
  std::map<CURL*, std::string> asked;
  std::vector<Easy> questions;
  for (const std::string& url : urls) {
    questions.push_back(question_to(curl, url, heard[url]));
    asked[questions.back().get()] = url;
    curl.multi_add_handle(multi.get(), questions.back().get());
  }
  int running = 1;
  while (running != 0 && curl.multi_perform(multi.get(), &running) == CURLM_OK) {
    curl.multi_poll(multi.get(), nullptr, 0, 100, nullptr);
  }
  int left = 0;
  while (const CURLMsg* const message = curl.multi_info_read(multi.get(), &left)) {
    const std::string& url = asked[message->easy_handle];
    if (!heard[url]) {
      dead.push_back({Errc::not_found, fmt::format("the debuginfod server {} does not answer: {}",
                                                   url, curl.easy_strerror(message->data.result))});
    }
  }
  for (const Easy& question : questions) {
    curl.multi_remove_handle(multi.get(), question.get());
  }
  std::vector<std::string> living;
  std::ranges::copy_if(urls, std::back_inserter(living),
                       [&](const std::string& url) { return heard[url]; });
  return living;
}

void Servers::Ender::operator()(void* client) const {
  ::debuginfod_end(static_cast<debuginfod_client*>(client));
}

Result<Servers> Servers::open(std::vector<Remark>& remarks, ServerPatience patience) {
  const std::vector<std::string> urls = configured_servers();
  if (urls.empty()) {
    return fail(Errc::not_found,
                "no debuginfod server is configured: set DEBUGINFOD_URLS "
                "(DEBUGINFOD_URLS=https://debuginfod.debian.net)");
  }
  std::vector<Error> dead;
  const std::vector<std::string> living = living_servers(urls, dead);
  for (const Error& error : dead) {
    remarks.push_back({error.code, error.message});
  }
  if (living.empty()) {
    return fail(Errc::not_found, "no debuginfod server answers");
  }
  ::setenv(DEBUGINFOD_URLS_ENV_VAR, joined(living).c_str(), 1);
  patience = as_configured(patience);
  ::setenv(DEBUGINFOD_TIMEOUT_ENV_VAR, fmt::format("{}", patience.first.count()).c_str(), 0);
  // Two more tries of the same server are libdebuginfod's default.
  ::setenv(DEBUGINFOD_RETRY_LIMIT_ENV_VAR, "0", 0);
  debuginfod_client* const client = ::debuginfod_begin();
  if (client == nullptr) {
    return fail(Errc::io, "libdebuginfod cannot be used");
  }
  return Servers(client, patience);
}

Result<std::string> Servers::find(const std::string& build_id) {
  if (given_up_) {
    return fail(Errc::not_found, "not asked for: the debuginfod server stopped sending before");
  }
  auto* const client = static_cast<debuginfod_client*>(client_.get());
  Transfer transfer{.patience = patience_};
  ::debuginfod_set_user_data(client, &transfer);
  ::debuginfod_set_progressfn(client, &on_progress);
  char* path = nullptr;
  // A length of zero: the build-id is text.
  const Fd file(::debuginfod_find_debuginfo(
      client, reinterpret_cast<const unsigned char*>(build_id.c_str()), 0, &path));
  const std::unique_ptr<char, decltype(&::free)> owned(path, &::free);
  if (file) {
    return std::string(path);
  }
  // ETIME: libdebuginfod gave up by itself, at the same time.
  given_up_ = transfer.is_stalled || file.get() == -ETIME;
  if (given_up_ && !transfer.has_begun) {
    return fail(Errc::io,
                "the debuginfod server has sent nothing of it within {} s (longer: "
                "DEBUGINFOD_TIMEOUT=SECONDS)",
                patience_.first.count());
  }
  if (given_up_) {
    return fail(Errc::io, "the debuginfod server sent {} bytes of it, and {}", transfer.bytes,
                transfer.is_stalled
                    ? fmt::format("then nothing for {} s", patience_.between.count())
                    : fmt::format("less than 100 KB a second for {} s", patience_.first.count()));
  }
  return file.get() == -ENOENT
             ? fail(Errc::not_found, "no debuginfod server has it (build-id {})", build_id)
             : fail_errno(-file.get(), "debuginfod");
}

}  // namespace vmcore::debuginfo
