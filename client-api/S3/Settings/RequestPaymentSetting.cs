using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketRequestPayment, PutBucketRequestPayment.</summary>
internal static class RequestPaymentSetting
{
    public static readonly BucketSetting<RequestPayment> Setting = new()
    {
        Kind = BucketSettings.RequestPayment,
        Root = "RequestPaymentConfiguration",
        Missing = null,
        GetAction = S3Action.GetBucketRequestPayment,
        PutAction = S3Action.PutBucketRequestPayment,
        Default = new(Payer.BucketOwner),
        Read = document => new(document.Allow("Payer").EnumOf<Payer>("Payer") ?? throw S3Element.Malformed()),
        Write = (xml, setting) => xml.Element("Payer"u8, S3Words.Of(setting.Payer)),
    };
}
