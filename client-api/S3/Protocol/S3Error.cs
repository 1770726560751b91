using System.Net;

namespace DarkStorage.ClientApi.S3;

/// <summary>One error of S3: the code that SDKs switch on, its HTTP status, and AWS's words for it. This is the table of all we answer with.</summary>
/// <remarks>Where AWS words a code differently from case to case, <see cref="S3Exception"/> takes another message.</remarks>
internal sealed record S3Error(string Code, HttpStatusCode Status, string Message)
{
    // Who is asking
    public static readonly S3Error AccessDenied = new("AccessDenied", HttpStatusCode.Forbidden, "Access Denied");
    public static readonly S3Error AccessForbidden = new("AccessForbidden", HttpStatusCode.Forbidden, "CORSResponse: This CORS request is not allowed.");
    public static readonly S3Error InvalidAccessKeyId = new("InvalidAccessKeyId", HttpStatusCode.Forbidden, "The AWS Access Key Id you provided does not exist in our records.");
    public static readonly S3Error InvalidToken = new("InvalidToken", HttpStatusCode.BadRequest, "The provided token is malformed or otherwise invalid.");
    public static readonly S3Error ExpiredToken = new("ExpiredToken", HttpStatusCode.BadRequest, "The provided token has expired.");
    public static readonly S3Error SignatureDoesNotMatch = new("SignatureDoesNotMatch", HttpStatusCode.Forbidden, "The request signature we calculated does not match the signature you provided. Check your key and signing method.");
    public static readonly S3Error RequestTimeTooSkewed = new("RequestTimeTooSkewed", HttpStatusCode.Forbidden, "The difference between the request time and the current time is too large.");
    public static readonly S3Error AuthorizationHeaderMalformed = new("AuthorizationHeaderMalformed", HttpStatusCode.BadRequest, "The authorization header you provided is invalid.");
    public static readonly S3Error AuthorizationQueryParametersError = new("AuthorizationQueryParametersError", HttpStatusCode.BadRequest, "The authorization query parameters that you provided are not valid.");

    // What is asked for
    public static readonly S3Error InvalidRequest = new("InvalidRequest", HttpStatusCode.BadRequest, "The request is not valid.");
    public static readonly S3Error InvalidArgument = new("InvalidArgument", HttpStatusCode.BadRequest, "Invalid Argument");
    public static readonly S3Error BadRequest = new("BadRequest", HttpStatusCode.BadRequest, "Bad Request");
    public static readonly S3Error InvalidUri = new("InvalidURI", HttpStatusCode.BadRequest, "Couldn't parse the specified URI.");
    public static readonly S3Error InvalidBucketName = new("InvalidBucketName", HttpStatusCode.BadRequest, "The specified bucket is not valid.");
    public static readonly S3Error KeyTooLong = new("KeyTooLongError", HttpStatusCode.BadRequest, "Your key is too long");
    public static readonly S3Error InvalidTag = new("InvalidTag", HttpStatusCode.BadRequest, "The tag provided was not a valid tag.");
    public static readonly S3Error InvalidStorageClass = new("InvalidStorageClass", HttpStatusCode.BadRequest, "The storage class you specified is not valid");
    public static readonly S3Error InvalidRedirectLocation = new("InvalidRedirectLocation", HttpStatusCode.BadRequest, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
    public static readonly S3Error InvalidLocationConstraint = new("InvalidLocationConstraint", HttpStatusCode.BadRequest, "The specified location-constraint is not valid");
    public static readonly S3Error InvalidEncryptionAlgorithm = new("InvalidEncryptionAlgorithmError", HttpStatusCode.BadRequest, "The encryption request you specified is not valid. The valid value is AES256.");
    public static readonly S3Error MalformedPostRequest = new("MalformedPOSTRequest", HttpStatusCode.BadRequest, "The body of your POST request is not well-formed multipart/form-data.");
    public static readonly S3Error MaxPostPreDataLengthExceeded = new("MaxPostPreDataLengthExceededError", HttpStatusCode.BadRequest, "Your POST request fields preceding the upload file were too large.");
    public static readonly S3Error InvalidPolicyDocument = new("InvalidPolicyDocument", HttpStatusCode.BadRequest, "The content of the form does not meet the conditions specified in the policy document.");
    public static readonly S3Error MetadataTooLarge = new("MetadataTooLarge", HttpStatusCode.BadRequest, "Your metadata headers exceed the maximum allowed metadata size");
    public static readonly S3Error RequestHeaderSectionTooLarge = new("RequestHeaderSectionTooLarge", HttpStatusCode.BadRequest, "Your request header section exceeds the maximum allowed request header section size.");
    public static readonly S3Error MalformedXml = new("MalformedXML", HttpStatusCode.BadRequest, "The XML you provided was not well-formed or did not validate against our published schema");
    public static readonly S3Error MaxMessageLengthExceeded = new("MaxMessageLengthExceeded", HttpStatusCode.BadRequest, "Your request was too big.");
    public static readonly S3Error UnexpectedContent = new("UnexpectedContent", HttpStatusCode.BadRequest, "This request does not support content");
    public static readonly S3Error MissingRequestBody = new("MissingRequestBodyError", HttpStatusCode.BadRequest, "Request Body is empty");
    public static readonly S3Error MissingSecurityHeader = new("MissingSecurityHeader", HttpStatusCode.BadRequest, "Your request was missing a required header.");
    public static readonly S3Error MethodNotAllowed = new("MethodNotAllowed", HttpStatusCode.MethodNotAllowed, "The specified method is not allowed against this resource.");
    public static readonly S3Error NotImplemented = new("NotImplemented", HttpStatusCode.NotImplemented, "A header you provided implies functionality that is not implemented");

    // The body
    public static readonly S3Error BadDigest = new("BadDigest", HttpStatusCode.BadRequest, "The Content-MD5 you specified did not match what we received.");
    public static readonly S3Error InvalidDigest = new("InvalidDigest", HttpStatusCode.BadRequest, "The Content-MD5 you specified was invalid.");
    public static readonly S3Error ContentSha256Mismatch = new("XAmzContentSHA256Mismatch", HttpStatusCode.BadRequest, "The provided 'x-amz-content-sha256' header does not match what was computed.");
    public static readonly S3Error IncompleteBody = new("IncompleteBody", HttpStatusCode.BadRequest, "You did not provide the number of bytes specified by the Content-Length HTTP header");
    public static readonly S3Error MissingContentLength = new("MissingContentLength", HttpStatusCode.LengthRequired, "You must provide the Content-Length HTTP header.");
    public static readonly S3Error MalformedTrailer = new("MalformedTrailerError", HttpStatusCode.BadRequest, "The request contained trailing data that was not well-formed or did not conform to our published schema.");
    public static readonly S3Error EntityTooSmall = new("EntityTooSmall", HttpStatusCode.BadRequest, "Your proposed upload is smaller than the minimum allowed size");
    public static readonly S3Error EntityTooLarge = new("EntityTooLarge", HttpStatusCode.BadRequest, "Your proposed upload exceeds the maximum allowed size");
    public static readonly S3Error RequestTimeout = new("RequestTimeout", HttpStatusCode.BadRequest, "Your socket connection to the server was not read from or written to within the timeout period.");

    // Buckets, objects, uploads
    public static readonly S3Error NoSuchBucket = new("NoSuchBucket", HttpStatusCode.NotFound, "The specified bucket does not exist");
    public static readonly S3Error NoSuchKey = new("NoSuchKey", HttpStatusCode.NotFound, "The specified key does not exist.");
    public static readonly S3Error NoSuchVersion = new("NoSuchVersion", HttpStatusCode.NotFound, "The specified version does not exist.");
    public static readonly S3Error NoSuchUpload = new("NoSuchUpload", HttpStatusCode.NotFound, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.");
    public static readonly S3Error NoSuchBucketPolicy = new("NoSuchBucketPolicy", HttpStatusCode.NotFound, "The bucket policy does not exist");
    public static readonly S3Error NoSuchLifecycleConfiguration = new("NoSuchLifecycleConfiguration", HttpStatusCode.NotFound, "The lifecycle configuration does not exist");
    public static readonly S3Error EncryptionConfigurationNotFound = new("ServerSideEncryptionConfigurationNotFoundError", HttpStatusCode.NotFound, "The server side encryption configuration was not found");
    public static readonly S3Error NoSuchCorsConfiguration = new("NoSuchCORSConfiguration", HttpStatusCode.NotFound, "The CORS configuration does not exist");
    public static readonly S3Error ObjectLockConfigurationNotFound = new("ObjectLockConfigurationNotFoundError", HttpStatusCode.NotFound, "Object Lock configuration does not exist for this bucket");
    public static readonly S3Error NoSuchObjectLockConfiguration = new("NoSuchObjectLockConfiguration", HttpStatusCode.NotFound, "The specified object does not have a ObjectLock configuration");
    public static readonly S3Error IllegalVersioningConfiguration = new("IllegalVersioningConfigurationException", HttpStatusCode.BadRequest, "The versioning configuration specified in the request is invalid.");
    public static readonly S3Error InvalidBucketState = new("InvalidBucketState", HttpStatusCode.Conflict, "The request is not valid with the current state of the bucket.");
    public static readonly S3Error TooManyConfigurations = new("TooManyConfigurations", HttpStatusCode.BadRequest, "You are attempting to create a new configuration but have already reached the 1,000-configuration limit.");
    public static readonly S3Error NoSuchWebsiteConfiguration = new("NoSuchWebsiteConfiguration", HttpStatusCode.NotFound, "The specified bucket does not have a website configuration");
    public static readonly S3Error NoSuchConfiguration = new("NoSuchConfiguration", HttpStatusCode.NotFound, "The specified configuration does not exist.");
    public static readonly S3Error ReplicationConfigurationNotFound = new("ReplicationConfigurationNotFoundError", HttpStatusCode.NotFound, "The replication configuration was not found");
    public static readonly S3Error NoSuchPublicAccessBlock = new("NoSuchPublicAccessBlockConfiguration", HttpStatusCode.NotFound, "The public access block configuration was not found");
    public static readonly S3Error OwnershipControlsNotFound = new("OwnershipControlsNotFoundError", HttpStatusCode.NotFound, "The bucket ownership controls were not found");
    public static readonly S3Error AccessControlListNotSupported = new("AccessControlListNotSupported", HttpStatusCode.BadRequest, "The bucket does not allow ACLs");
    public static readonly S3Error InvalidBucketAclWithObjectOwnership = new("InvalidBucketAclWithObjectOwnership", HttpStatusCode.BadRequest, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting");
    public static readonly S3Error MalformedAcl = new("MalformedACLError", HttpStatusCode.BadRequest, "The XML you provided was not well-formed or did not validate against our published schema");
    public static readonly S3Error UnresolvableGrant = new("UnresolvableGrantByEmailAddress", HttpStatusCode.BadRequest, "The e-mail address you provided does not match any account on record.");
    public static readonly S3Error InvalidTargetBucketForLogging = new("InvalidTargetBucketForLogging", HttpStatusCode.BadRequest, "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.");
    public static readonly S3Error CrossLocationLoggingProhibited = new("CrossLocationLoggingProhibited", HttpStatusCode.Forbidden, "Cross-location logging is not allowed. Buckets in one location cannot log information to a bucket in another location.");
    public static readonly S3Error MalformedPolicy = new("MalformedPolicy", HttpStatusCode.BadRequest, "This policy contains invalid Json");
    public static readonly S3Error NoSuchTagSet = new("NoSuchTagSet", HttpStatusCode.NotFound, "The TagSet does not exist");
    public static readonly S3Error BucketAlreadyExists = new("BucketAlreadyExists", HttpStatusCode.Conflict, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.");
    public static readonly S3Error BucketAlreadyOwnedByYou = new("BucketAlreadyOwnedByYou", HttpStatusCode.Conflict, "Your previous request to create the named bucket succeeded and you already own it.");
    public static readonly S3Error BucketNotEmpty = new("BucketNotEmpty", HttpStatusCode.Conflict, "The bucket you tried to delete is not empty");
    public static readonly S3Error TooManyBuckets = new("TooManyBuckets", HttpStatusCode.BadRequest, "You have attempted to create more buckets than allowed");
    public static readonly S3Error InvalidRange = new("InvalidRange", HttpStatusCode.RequestedRangeNotSatisfiable, "The requested range is not satisfiable");
    public static readonly S3Error InvalidPartNumber = new("InvalidPartNumber", HttpStatusCode.RequestedRangeNotSatisfiable, "The requested partnumber is not satisfiable");
    public static readonly S3Error InvalidPart = new("InvalidPart", HttpStatusCode.BadRequest, "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.");
    public static readonly S3Error InvalidPartOrder = new("InvalidPartOrder", HttpStatusCode.BadRequest, "The list of parts was not in ascending order. Parts must be ordered by part number.");
    public static readonly S3Error PreconditionFailed = new("PreconditionFailed", HttpStatusCode.PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
    public static readonly S3Error NotModified = new("NotModified", HttpStatusCode.NotModified, "Not Modified");
    public static readonly S3Error ConditionalRequestConflict = new("ConditionalRequestConflict", HttpStatusCode.Conflict, "The conditional request cannot succeed due to a conflicting operation against this resource.");
    public static readonly S3Error OperationAborted = new("OperationAborted", HttpStatusCode.Conflict, "A conflicting conditional operation is currently in progress against this resource. Please try again.");
    public static readonly S3Error InvalidObjectState = new("InvalidObjectState", HttpStatusCode.Forbidden, "The operation is not valid for the object's storage class");

    public static readonly S3Error RestoreAlreadyInProgress = new("RestoreAlreadyInProgress", HttpStatusCode.Conflict, "Object restore is already in progress");

    // Keys of the key service, in whose words AWS answers
    public static readonly S3Error KmsNotFound = new("KMS.NotFoundException", HttpStatusCode.BadRequest, "The KMS key does not exist.");
    public static readonly S3Error KmsDisabled = new("KMS.DisabledException", HttpStatusCode.BadRequest, "The KMS key is disabled.");

    // Ours
    public static readonly S3Error InternalError = new("InternalError", HttpStatusCode.InternalServerError, "We encountered an internal error. Please try again.");
    public static readonly S3Error ServiceUnavailable = new("ServiceUnavailable", HttpStatusCode.ServiceUnavailable, "Service is unable to handle request.");
    public static readonly S3Error SlowDown = new("SlowDown", HttpStatusCode.ServiceUnavailable, "Please reduce your request rate.");
    // AWS never runs out of disks. 507 is not retried by the SDKs, which is right: retrying would not help.
    public static readonly S3Error InsufficientStorage = new("InsufficientStorage", HttpStatusCode.InsufficientStorage, "There is no room for the object. Reads and deletes go on.");
}
