#include "src/job/guest_census.h"

#include "src/job/look_live.h"
#include "src/job/place_cache.h"
#include "src/job/run_worker.h"

namespace vmcore::job {

Result<sandbox::Done> take_census(acquire::Guest& guest, bool running, unsigned threads) {
  DumpOptions options;
  options.dry_run = true;
  options.threads = threads;
  sandbox::Request request = make_request(options, sandbox::InputKind::live);
  request.torn = running;
  request.hint = recall_place(guest);
  TRY_ASSIGN(sandbox::Done done,
             run_worker(request, {},
                        {.locate = [&](std::span<const PhysRange>) { return look_live(guest); }}));
  remember_place(guest, done.place);
  return done;
}

}  // namespace vmcore::job
