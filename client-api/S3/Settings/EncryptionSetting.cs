using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>GetBucketEncryption, PutBucketEncryption, DeleteBucketEncryption. Unlike AWS's since 2023, a bucket has no default unless it is given one.</summary>
internal static class EncryptionSetting
{
    private const int KeyIdLengthMax = 2048;

    public static readonly BucketSetting<BucketEncryption> Setting = new()
    {
        Kind = BucketSettings.Encryption,
        Root = "ServerSideEncryptionConfiguration",
        Missing = S3Error.EncryptionConfigurationNotFound,
        GetAction = S3Action.GetEncryptionConfiguration,
        PutAction = S3Action.PutEncryptionConfiguration,
        Read = Read,
        Write = Write,
    };

    private static BucketEncryption Read(S3Element document)
    {
        var rule = document.Allow("Rule").Require("Rule").Allow("ApplyServerSideEncryptionByDefault", "BucketKeyEnabled");
        var bucketKey = rule.BooleanOf("BucketKeyEnabled") ?? false;
        var applied = rule.Require("ApplyServerSideEncryptionByDefault").Allow("SSEAlgorithm", "KMSMasterKeyID");
        var keyId = applied.TextOf("KMSMasterKeyID");
        if (keyId is "") keyId = null;
        switch (applied.RequireText("SSEAlgorithm"))
        {
            case "AES256":
                if (keyId is not null)
                    throw S3Exception.InvalidArgument("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse", "ApplyServerSideEncryptionByDefault", "");
                return new(EncryptionMode.SseS3, null, bucketKey);
            case "aws:kms":
                // It goes into headers of answers, so it is what a header can hold.
                if (keyId is not null && (keyId.Length > KeyIdLengthMax || keyId.Any(c => c is <= ' ' or >= '\u007f'))) throw S3Element.Malformed();
                return new(EncryptionMode.SseKms, keyId, bucketKey);
            case "aws:kms:dsse": throw new S3Exception(S3Error.NotImplemented, "Dual-layer encryption (aws:kms:dsse) is not implemented.");
            default: throw S3Element.Malformed();
        }
    }

    private static void Write(S3XmlWriter xml, BucketEncryption setting)
    {
        xml.Start("Rule"u8);
        xml.Start("ApplyServerSideEncryptionByDefault"u8);
        xml.Element("SSEAlgorithm"u8, setting.Mode == EncryptionMode.SseS3 ? "AES256" : "aws:kms");
        if (setting.KeyId is not null) xml.Element("KMSMasterKeyID"u8, setting.KeyId);
        xml.End("ApplyServerSideEncryptionByDefault"u8);
        xml.Element("BucketKeyEnabled"u8, setting.BucketKeyEnabled);
        xml.End("Rule"u8);
    }
}
