#include "app/subject.h"

#include "backend/core/error.h"

namespace secateur {

const Model &modelOf(workflow::Workbench &bench, const Subject &subject)
{
    if (!subject.run.empty()) {
        if (!bench.hasRun(subject.run)) {
            if (subject.adapter.empty())
                throw Error(ErrorKind::NotFound, "run '" + subject.name + "' has no adapter on disk",
                            "Train it again, or open its adapter folder.");
            workflow::openRun(bench, subject.run, subject.plan ? &*subject.plan : nullptr, subject.adapter);
        }
        return bench.runModel(subject.run);
    }
    if (subject.plan)
        return bench.planModel(*subject.plan);
    return *bench.dense().model;
}

} // namespace secateur
