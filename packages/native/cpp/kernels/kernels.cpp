// One instruction set's kernels, as a table by op code. Compiled once an instruction set: the compiler's flags and one
// -DRELUFY_ISA_... (scripts/build-native.mjs) are all that differs. Includes every kernel, so that they inline.
#include "activation-backward.h"
#include "activation.h"
#include "attention-backward.h"
#include "attention.h"
#include "concat.h"
#include "cross-entropy.h"
#include "fetch.h"
#include "gather.h"
#include "linear-backward.h"
#include "linear.h"
#include "logprob.h"
#include "marks.h"
#include "norm-backward.h"
#include "norm.h"
#include "optimizer.h"
#include "quantize.h"
#include "recurrent-backward.h"
#include "recurrent.h"
#include "rope.h"
#include "round.h"
#include "scatter.h"
#include "select.h"
#include "signs.h"
#include "sparse.h"
#include "stream.h"
#include "top.h"
#include "two-bits.h"

#define RELUFY_TEXT_OF(name) #name
#define RELUFY_TEXT(name) RELUFY_TEXT_OF(name)

namespace relufy::RELUFY_ISA {

struct Kernels {
  Kernel byCode[streamRead + 1];
};

static constexpr Kernels listKernels() {
  Kernels k = {};
  k.byCode[Gather::code] = gather;
  k.byCode[RmsNorm::code] = rmsNorm;
  k.byCode[LayerNorm::code] = layerNorm;
  k.byCode[Activate::code] = activate;
  k.byCode[Multiply::code] = multiply;
  k.byCode[SelectActive::code] = selectActive;
  k.byCode[Linear::code] = linear;
  k.byCode[GemvRows::code] = gemvRows;
  k.byCode[AxpyRows::code] = axpyRows;
  k.byCode[Rope::code] = rope;
  k.byCode[StoreKv::code] = storeKv;
  k.byCode[Attention::code] = attention;
  k.byCode[LogProb::code] = logProb;
  k.byCode[Quantize::code] = quantize;
  k.byCode[HeadNorm::code] = headNorm;
  k.byCode[KeepTop::code] = keepTop;
  k.byCode[Concat::code] = concat;
  k.byCode[AgreeingSigns::code] = agreeingSigns;
  k.byCode[TwoBitScores::code] = twoBitScores;
  k.byCode[MarkActive::code] = markActive;
  k.byCode[FetchRows::code] = fetchRows;
  k.byCode[AnnounceRows::code] = announceRows;
  k.byCode[RoundRow::code] = roundRow;
  k.byCode[TokenShift::code] = tokenShift;
  k.byCode[Mix::code] = mix;
  k.byCode[Wkv::code] = wkv;
  k.byCode[LinearBackward::code] = linearBackward;
  k.byCode[LinearGradient::code] = linearGradient;
  k.byCode[NormBackward::code] = normBackward;
  k.byCode[NormGradient::code] = normGradient;
  k.byCode[ActivateBackward::code] = activateBackward;
  k.byCode[AttentionBackwardQuery::code] = attentionBackwardQuery;
  k.byCode[AttentionBackwardKeyValue::code] = attentionBackwardKeyValue;
  k.byCode[ScatterAdd::code] = scatterAdd;
  k.byCode[Place::code] = place;
  k.byCode[CrossEntropy::code] = crossEntropy;
  k.byCode[Penalty::code] = penalty;
  k.byCode[SumSquares::code] = sumSquares;
  k.byCode[Clip::code] = clip;
  k.byCode[AdamW::code] = adamW;
  k.byCode[TokenShiftBackward::code] = tokenShiftBackward;
  k.byCode[MixBackward::code] = mixBackward;
  k.byCode[MixGradient::code] = mixGradient;
  k.byCode[WkvBackward::code] = wkvBackward;
  k.byCode[streamRead] = stream;
  return k;
}

static constexpr Kernels kernels = listKernels();

static size_t scratchBytes(Record op, int maxRows, int threads) {
  switch (op.words[0]) {
    case Linear::code: return linearScratch(op, maxRows, threads);
    case GemvRows::code: return gemvRowsScratch(op, maxRows);
    case AxpyRows::code: return axpyRowsScratch(op, maxRows, threads);
    case FetchRows::code: return fetchRowsScratch;
    case Attention::code: return attentionScratch(op);
    case KeepTop::code: return keepTopScratch(op);
    case AgreeingSigns::code: return agreeingSignsScratch(op, maxRows);
    case TwoBitScores::code: return twoBitScoresScratch(op, maxRows);
    case LinearBackward::code:
    case LinearGradient::code: return outerScratch;
    case AttentionBackwardQuery::code: return attentionBackwardQueryScratch(op);
    case AttentionBackwardKeyValue::code: return attentionBackwardKeyValueScratch(op);
    case CrossEntropy::code: return crossEntropyScratch(op);
    default: return 0;
  }
}

static size_t sharedBytes(Record op) {
  switch (op.words[0]) {
    case Linear::code: return linearShared(op);
    case AxpyRows::code: return axpyRowsShared(op);
    default: return 0;
  }
}

extern const KernelTable table;
const KernelTable table = {RELUFY_TEXT(RELUFY_ISA), kernels.byCode, scratchBytes, sharedBytes};

}  // namespace relufy::RELUFY_ISA
